"""Lists that GitHub shows well are lists in the site as well."""

import re
from pathlib import Path

import pytest
from markdown import markdown
from markdown_it import MarkdownIt

from docs.site.list_indents import with_four_spaces

DOCS = Path(__file__).parents[4] / "docs"
EXTENSIONS = ["tables", "pymdownx.highlight", "pymdownx.superfences"]
STEPS = """\
Steps:
1. Run:

   ```
   make docs
     indented
   ```

   and read
   the output.
2. Look:
   - at a
     page
   - at `b`

     more of b

After the list."""


def test_steps_with_code_stay_one_list() -> None:
    html = markdown(with_four_spaces(STEPS), extensions=EXTENSIONS)
    assert html.count("<ol>") == 1
    assert html.count("<ul>") == 1
    assert "make docs\n  indented\n" in html
    assert "<p>After the list.</p>" in html


def frame(html: str) -> list[str]:
    """Lists, items, blocks of code, tables and headings, in order."""
    return re.findall(r"</?(?:ul|ol|li)\b|<pre|<table|<h\d", html)


@pytest.mark.parametrize("page", sorted(DOCS.rglob("*.md")), ids=lambda page: page.stem)
def test_page_has_the_lists_that_commonmark_reads(page: Path) -> None:
    text = re.sub(r"^\[\^.*?(?=^\S|\Z)", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    read = MarkdownIt("commonmark").enable("table").render(text)
    assert frame(markdown(with_four_spaces(text), extensions=EXTENSIONS)) == frame(read)


@pytest.mark.parametrize(
    ("text", "moved"),
    [
        ("- a\n  b\n- c", "- a\n    b\n- c"),
        ("- a\n  - b\n    - c\n  - d", "- a\n\n    - b\n\n        - c\n\n    - d"),
        ("10. a\n\n    b", "10. a\n\n    b"),
        ("- a\n\nb", "- a\n\nb"),
        ("text\n- a", "text\n\n- a"),
        ("```\n- a\n  - b\n```", "```\n- a\n  - b\n```"),
        ("- a\n\n  ```\n  - b\n  ```\n- c", "- a\n\n    ```\n    - b\n    ```\n\n- c"),
        ("    code\n", "    code\n"),
    ],
)
def test_content_of_items_has_four_spaces(text: str, moved: str) -> None:
    assert with_four_spaces(text) == moved
