"""The pictures: lines of a terminal as SVG, and bars of the figures that are in the page now."""

from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.docs.pictures import speed
from tests.docs.pictures.recording import cut, svg

ROOT = Path(__file__).parents[3]
SVGS = sorted((ROOT / "docs").rglob("*.svg"))


def test_picture_begins_and_ends_at_the_lines_that_are_asked_for() -> None:
    lines = ["start", "table", "row", "end", "more", ""]
    assert cut(lines, lines, "^table", "^end") == ["table", "row", "end"]
    assert cut(lines, lines, "", None) == lines[:-1]


def test_lines_are_escaped_coloured_and_wrapped_as_in_a_terminal() -> None:
    made = svg(["\x1b[32mgood\x1b[0m <&>", "x" * 81], "a title")
    texts = ["".join(text.itertext()) for text in ElementTree.fromstring(made) if text.tag.endswith("text")]
    assert texts == ["good", "\N{NO-BREAK SPACE}<&>", "x" * 80, "x"]
    assert "fill: #3fb950" in made


def test_chart_has_the_figures_of_the_page() -> None:
    made = speed.svg(speed.rows(speed.PAGE.read_text(encoding="utf-8")))
    assert made == (ROOT / "docs/speed.svg").read_text(encoding="utf-8"), "run `make pictures`"


@pytest.mark.parametrize("path", SVGS, ids=lambda path: path.name)
def test_svg_asks_no_other_host_and_is_readable_in_the_dark(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert "http" not in text.replace("http://www.w3.org/2000/svg", "")
    assert "prefers-color-scheme: dark" in text or "#0d1117" in text
