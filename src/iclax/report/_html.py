"""A self-contained HTML page: tables, figures as embedded PNG, verdicts."""

import base64
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

from .._files import write_atomic
from ._format import cell
from ._section import Section, Table, overall, tally

_TEMPLATE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ title }}</title>
<style>
 body { font: 16px/1.5 Georgia, serif; max-width: 62rem; margin: 2rem auto;
        padding: 0 1rem; color: #1a1a1a; }
 h1, h2 { font-family: Helvetica, Arial, sans-serif; line-height: 1.2; }
 table { border-collapse: collapse; font: 14px/1.4 Helvetica, Arial, sans-serif; }
 .scroll { overflow-x: auto; }
 caption { text-align: left; font-style: italic; padding: .4rem 0; }
 th { border-bottom: 2px solid #444; text-align: left; }
 td, th { padding: .3rem .7rem .3rem 0; vertical-align: top; }
 td { border-bottom: 1px solid #ddd; }
 figure { margin: 1.5rem 0; } figure img { max-width: 100%; }
 figcaption { font-size: 14px; color: #444; }
 .held::before { content: "✓ "; color: #00734f; font-weight: bold; }
 .failed::before { content: "✗ "; color: #b03000; font-weight: bold; }
 .undecided::before { content: "○ not decided: "; color: #666; font-weight: bold; }
 .facts { font: 13px/1.5 Helvetica, Arial, sans-serif; color: #555;
          overflow-wrap: anywhere; }
</style></head><body>
<h1>{{ title }}</h1>
<p{% if status %} class="{{ status }}"{% endif %}><strong>{{ summary }}</strong></p>
{% for section in sections %}
<h2>{{ section.title }}</h2>
{% for text in section.paragraphs %}<p>{{ text }}</p>{% endfor %}
{% if section.verdicts %}<ul>{% for v in section.verdicts %}
<li class="{{ class_of(v.passed) }}">{{ v.name }}: {{ v.text }}</li>
{% endfor %}</ul>{% endif %}
{% for table in section.tables %}{{ table_html(table) }}{% endfor %}
{% for figure in section.figures %}<figure>
<img src="{{ image(figure) }}" alt="{{ figure.caption }}">
<figcaption>{{ figure.caption }}</figcaption></figure>{% endfor %}
{% endfor %}
<h2>Setting</h2>
<p class="facts">{% for name, value in facts.items() %}{{ name }}: {{ value }}<br>
{% endfor %}</p>
</body></html>
"""


def write_html(
    path: Path,
    *,
    title: str,
    sections: Sequence[Section],
    facts: dict[str, Any],
    figures: Path,
) -> None:
    """Write the report to `path`; its PNG files are read from the folder `figures`."""
    from jinja2 import Environment
    from markupsafe import Markup

    def image(figure: Any) -> str:
        data = base64.b64encode((figures / f"{figure.name}.png").read_bytes())
        return f"data:image/png;base64,{data.decode()}"

    verdicts = [v for section in sections for v in section.verdicts]
    page = Environment(autoescape=True).from_string(_TEMPLATE)
    text = page.render(
        title=title,
        sections=sections,
        facts=facts,
        image=image,
        status=_class_of(overall(verdicts)) if verdicts else "",
        summary=tally(verdicts),
        class_of=_class_of,
        table_html=lambda table: Markup(_table_html(table)),
    )
    write_atomic(path, text.encode())


def _class_of(passed: bool | None) -> str:
    return {True: "held", False: "failed", None: "undecided"}[passed]


def _table_html(table: Table) -> str:
    head = "".join(f"<th>{escape(column)}</th>" for column in table.columns)
    body = "".join(
        "<tr>"
        + "".join(f"<td>{escape(cell(row.get(c)))}</td>" for c in table.columns)
        + "</tr>"
        for row in table.rows
    )
    return (
        f'<div class="scroll"><table><caption>{escape(table.caption)}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )
