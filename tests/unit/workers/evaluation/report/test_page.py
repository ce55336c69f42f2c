"""The report as a document: well-formed, escaped, and without content from elsewhere."""

import re
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import pytest

from labelstream.workers.evaluation.fitting.fit import fit
from labelstream.workers.evaluation.fitting.targets import Metric, Target
from labelstream.workers.evaluation.predictions import Kind, Predictions
from labelstream.workers.evaluation.report.page import Report, report_page
from tests.support.made_predictions import made_predictions, made_regression

HOSTILE = '<script src="http://x"></script>&"\'<img src=x onerror=alert(1)>'
VOID = {"meta", "link"}


class Checked(HTMLParser):
    """Elements in order, and whether each end tag closes the last open element."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.found if name == tag]


def made_of(kind: Kind) -> Predictions:
    return made_regression() if kind is Kind.REGRESSION else made_predictions(kind=kind)


@pytest.mark.parametrize("kind", list(Kind))
@pytest.mark.parametrize("fitted", [False, True])
def test_page_is_well_formed_and_loads_nothing(kind: Kind, fitted: bool) -> None:
    made = made_of(kind)
    values = fit(made, True, Target(Metric.RECALL, 0.3)) if fitted and kind is not Kind.REGRESSION else None
    page = report_page(Report(made, "data.jsonl", ["600 texts"], [("accuracy", 0.5, "0.4 to 0.6")], fitted=values))
    checked = Checked(page)
    assert checked.open == []
    sources = [v for _, attributes in checked.found for name, v in attributes.items() if name in ("src", "href")]
    assert sources == ["data:,"]
    assert not re.search(r"url\((?!#)|@import", page)
    assert [link for _, a in checked.found if (link := a.get("xlink:href")) and not link.startswith("#")] == []
    assert checked.of("script") == []
    assert page == report_page(
        Report(made, "data.jsonl", ["600 texts"], [("accuracy", 0.5, "0.4 to 0.6")], fitted=values)
    )


@pytest.mark.parametrize("kind", [Kind.SINGLE_LABEL, Kind.MULTI_LABEL])
def test_texts_and_labels_are_escaped(kind: Kind) -> None:
    made = made_predictions(kind=kind)
    made = replace(made, model=HOSTILE, labels=(HOSTILE, "b", "$x_1^2$"), texts=[(HOSTILE, HOSTILE)] * len(made))
    rows: list[Any] = [(HOSTILE, HOSTILE, 0.5)]
    report = Report(made, HOSTILE, [HOSTILE], [(HOSTILE, None, HOSTILE)], (HOSTILE, "x", "y"), rows)
    checked = Checked(report_page(report))
    assert {tag for tag, _ in checked.found}.isdisjoint({"script", "img"})


def test_control_characters_are_replaced() -> None:
    made = made_predictions()
    made = replace(made, labels=("a\x1b[31m", "b", "c"), texts=[("x\x00y\nz", None)] * len(made))
    page = report_page(Report(made, "d"))
    assert "a\ufffd[31m" in page
    assert "x\ufffdy\nz" in page
    assert not re.search(r"[\x00\x1b]", page)


def test_parts_have_names_for_screen_readers() -> None:
    made = made_predictions(n=1_500, k=8)
    checked = Checked(report_page(Report(made, "data", fitted=fit(made, True, Target(Metric.COVERAGE, 0.9)))))
    ids = [value for _, attributes in checked.found if (value := attributes.get("id"))]
    assert len(ids) == len(set(ids))
    assert len(checked.of("svg")) == 8 + 2
    assert all(one["role"] == "img" and one["aria-label"] for one in checked.of("svg"))
    assert len(checked.of("caption")) == len(checked.of("table"))
    assert all(one["scope"] in ("row", "col") for one in checked.of("th"))
    assert checked.of("html") == [{"lang": "en"}]
    assert [tag for tag, _ in checked.found if tag in ("h1", "h2")][:2] == ["h1", "h2"]
