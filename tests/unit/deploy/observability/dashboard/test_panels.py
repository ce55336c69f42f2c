"""What the dashboard asks: metrics that there are, of the pipelines and models that are chosen."""

import re
from pathlib import Path

import pytest
import yaml

from labelstream.deploy.observability.dashboard.panels import ROWS, Panel
from labelstream.deploy.observability.metrics.table import METRICS

PANELS = [panel for row in ROWS for panel in row.panels]
RULES = yaml.safe_load((Path(__file__).parents[5] / "helm/labelstream/files/alerts.yaml").read_text(encoding="utf-8"))
RECORDED = {rule["record"] for group in RULES["groups"] for rule in group["rules"] if "record" in rule}
KNOWN = {name for metric in METRICS.values() for name in metric.exported()}


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel.title)
def test_panel_asks_for_metrics_that_there_are(panel: Panel) -> None:
    assert panel.queries
    for expression, legend in panel.queries:
        asked = set(re.findall(r"\bray_\w+|\blabelstream:[\w:]+", expression))
        assert asked
        assert asked <= KNOWN | RECORDED
        if "by (" in expression:  # else all labels are there
            assert set(re.findall(r"{{(\w+)}}", legend)) <= set(re.findall(r"\w+", expression))


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel.title)
def test_expression_is_closed(panel: Panel) -> None:
    for expression, _ in panel.queries:
        for left, right in ("()", "{}", "[]"):
            assert expression.count(left) == expression.count(right), expression


def test_panels_have_titles_of_their_own() -> None:
    assert len({panel.title for panel in PANELS}) == len(PANELS)
    assert len({row.title for row in ROWS}) == len(ROWS)
    assert all(panel.text.endswith((".", ")")) for panel in PANELS)
