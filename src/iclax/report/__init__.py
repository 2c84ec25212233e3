"""Reports: sections of tables, figures and verdicts, as HTML and as text."""

from ._format import (
    cell as cell,
    estimate_with_error as estimate_with_error,
    with_error as with_error,
)
from ._html import write_html as write_html
from ._section import (
    Figure as Figure,
    Section as Section,
    Table as Table,
    Verdict as Verdict,
    overall as overall,
    tally as tally,
)
from ._text import (
    facts_text as facts_text,
    sections_text as sections_text,
    table_text as table_text,
)
