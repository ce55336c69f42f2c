import re
import sys
import warnings

import pytest

from labelstream.workers.errors import StartError
from labelstream.workers.evaluation.report.vector_graphics import INK, SERIES, plotting, svg_of


def drawn(name: str, title: str = "A plot") -> str:
    with plotting() as figure_of:
        figure = figure_of()
        axis = figure.subplots()
        axis.plot([0, 1], [0, 1], "o-", color=SERIES[0], label="a < b")
        axis.legend()
        return svg_of(figure, name, title)


def test_colors_are_those_of_the_page() -> None:
    svg = drawn("one")
    assert "var(--series-1)" in svg
    assert "var(--ink)" in svg
    assert INK not in svg
    assert not re.search(r"#[0-9a-f]{6}\b", svg.replace("#ffffff", ""))


def test_text_is_text_in_the_font_of_the_page() -> None:
    svg = drawn("one")
    assert "a &lt; b</text>" in svg
    assert "font-family" not in svg
    assert "DejaVu" not in svg


def test_each_figure_has_ids_of_its_own() -> None:
    ids = [set(re.findall(r' id="([^"]*)"', drawn(name))) for name in ("one", "two")]
    assert ids[0]
    assert all(found.startswith("one-") for found in ids[0])
    assert not ids[0] & ids[1]
    assert set(re.findall(r'(?:href="|url\()#([\w-]+)', drawn("one"))) <= ids[0]


def test_title_is_escaped_and_names_the_image() -> None:
    svg = drawn("one", "a & <b>")
    assert 'role="img" aria-label="a &amp; &lt;b&gt;">' in svg
    assert svg.startswith("<svg")
    assert "<metadata" not in svg


def test_missing_matplotlib_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(StartError, match=r"matplotlib is missing; pip install 'labelstream\[evaluate\]'"):
        drawn("one")


def test_character_without_a_glyph_gives_no_warning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with plotting() as figure_of:
            figure = figure_of()
            figure.subplots().set_xlabel("\U000e0001 \u4e2d")
            assert "\u4e2d" in svg_of(figure, "f", "t")
