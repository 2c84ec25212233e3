"""The pages of docs/theory: every derivation that code points to, and the index."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = sorted((ROOT / "docs" / "theory").glob("*.md"))
SOURCES = "\n".join(p.read_text() for p in (ROOT / "src").rglob("*.py"))
TESTS = "\n".join(p.read_text() for p in (ROOT / "tests").glob("*.py"))


def test_every_derivation_that_a_docstring_names_exists():
    named = set(re.findall(r"docs/theory/([\w-]+\.md)", SOURCES))
    assert len(named) >= 8 and named <= {page.name for page in PAGES}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_pages_name_tests_and_files_that_exist(page):
    text = page.read_text()
    for name in re.findall(r"`(test_\w+)`", text):
        assert f"def {name}(" in TESTS or (ROOT / "tests" / f"{name}.py").exists(), name
    for name in re.findall(r"`(?:theory/)?(_\w+)\.py`", text):
        assert list((ROOT / "src" / "iclax" / "theory").glob(f"{name}.py")), name
    for link in re.findall(r"\]\(([\w./-]+\.md)\)", text):
        assert (page.parent / link).exists(), link


def test_the_index_lists_every_page():
    index = (ROOT / "docs" / "theory" / "README.md").read_text()
    for page in PAGES:
        assert page.name == "README.md" or f"({page.name})" in index
