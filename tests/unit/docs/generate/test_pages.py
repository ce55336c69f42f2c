"""The reference pages are what the code says now, and read well."""

from pathlib import Path

import pytest

from docs.generate import pages
from docs.generate.markdown import WIDTH
from docs.generate.pages import PAGES, REFERENCE, regenerated

EVERY_PAGE = sorted(REFERENCE.glob("*.md"))


def name(page: Path) -> str:
    return page.name


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_page_is_what_the_code_says(page: Path) -> None:
    assert page.read_text(encoding="utf-8") == regenerated(page), "the code has changed: run `make reference`"


@pytest.mark.parametrize("page", EVERY_PAGE, ids=name)
def test_lines_outside_of_tables_and_code_are_short(page: Path) -> None:
    is_code, long = False, []
    for line in page.read_text(encoding="utf-8").splitlines():
        is_code ^= line.startswith("```")
        is_one_word = " " not in line.strip()
        if len(line) > WIDTH and not (is_code or is_one_word or line.startswith("|")):
            long.append(line)
    assert long == []


def test_text_by_hand_stays_and_part_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "page.md"
    page.write_text("# A page\n\n<!-- generated: two words -->\nold\n<!-- end -->\nThe end.\n")
    monkeypatch.setitem(pages.PAGES, page, {"two words": lambda: "new\n"})
    assert regenerated(page) == "# A page\n\n<!-- generated: two words -->\n\nnew\n\n<!-- end -->\nThe end.\n"


def test_missing_part_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "page.md"
    page.write_text("# A page\n")
    monkeypatch.setitem(pages.PAGES, page, {"keys": str})
    with pytest.raises(ValueError, match=r"page.md: has the generated parts \[\]; it needs \['keys'\]"):
        regenerated(page)
