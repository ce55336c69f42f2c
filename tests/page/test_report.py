"""The report of an evaluation in a real Chromium: no console error, no request, and room on a phone."""

from dataclasses import replace
from pathlib import Path

import pytest

from labelstream.workers.evaluation.fitting.fit import fit
from labelstream.workers.evaluation.fitting.targets import Metric, Target
from labelstream.workers.evaluation.predictions import Kind, Predictions
from labelstream.workers.evaluation.report.page import Report, report_page
from tests.page.accessibility import violations
from tests.page.browser import Browser
from tests.support.made_predictions import made_predictions, made_regression

HOSTILE = "<script>document.title='broken'</script><img src=http://127.0.0.1:1/x onerror=alert(1)>"


def of_labels() -> Predictions:
    made = made_predictions(n=800, k=10)
    texts = [(f"{HOSTILE} {i}", None) for i in range(len(made))]
    labels = (*made.labels[:8], HOSTILE, "a_label_with_a_name_that_no_phone_has_room_for_" * 3)
    return replace(made, labels=labels, texts=texts)


@pytest.mark.parametrize("kind", [Kind.SINGLE_LABEL, Kind.MULTI_LABEL, Kind.REGRESSION])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [390, 1_280])
def test_report_opens_without_an_error(chromium: Browser, tmp_path: Path, kind: Kind, dark: bool, width: int) -> None:
    made = {
        Kind.SINGLE_LABEL: of_labels,
        Kind.MULTI_LABEL: lambda: made_predictions(n=800, kind=kind),
        Kind.REGRESSION: made_regression,
    }[kind]()
    fitted = None if kind is Kind.REGRESSION else fit(made, True, Target(Metric.COVERAGE, 0.8))
    file = tmp_path / "report.html"
    file.write_text(report_page(Report(made, HOSTILE, [HOSTILE], fitted=fitted)), encoding="utf-8")
    chromium.look(dark, width)
    chromium.open(file.as_uri())
    assert chromium.errors() == []
    assert HOSTILE in chromium.run("return document.title")
    assert chromium.run("return performance.getEntriesByType('resource').length") == 0
    assert chromium.run("return document.documentElement.scrollWidth") <= width
    plots = chromium.run(
        "return [...document.querySelectorAll('svg')].map((one) => [one.getBoundingClientRect().width,"
        " one.getAttribute('role'), one.getAttribute('aria-label')])"
    )
    assert len(plots) >= (1 if kind is Kind.REGRESSION else 5)
    assert all(shown > 200 and role == "img" and title for shown, role, title in plots)
    ids = chromium.run("return [...document.querySelectorAll('[id]')].map((one) => one.id)")
    assert len(ids) == len(set(ids))
    colors = chromium.run(
        "return [getComputedStyle(document.body).backgroundColor, getComputedStyle(document.body).color]"
    )
    assert colors == (["rgb(20, 23, 26)", "rgb(232, 234, 237)"] if dark else ["rgb(255, 255, 255)", "rgb(28, 30, 33)"])
    chromium.run("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    assert violations(chromium, and_unclear=False) == []
