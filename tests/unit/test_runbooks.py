"""Each alert leads to a page that says what to do, and the pages name only what there is."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from labelstream.deploy.observability.metrics.table import METRICS
from labelstream.schemas.dead_letter import Reason
from labelstream.workers.stream.report import ALARMS_PAGE

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs/how-to/runbooks"
PAGES = sorted(FOLDER.glob("*.md"))
GROUPS = yaml.safe_load((ROOT / "helm/labelstream/files/alerts.yaml").read_text(encoding="utf-8"))["groups"]
RULES: list[dict[str, Any]] = [rule for group in GROUPS for rule in group["rules"]]
ALERTS = {rule["alert"]: rule for rule in RULES if "alert" in rule}
RECORDED = {rule["record"] for rule in RULES if "record" in rule}
HEADINGS = ["What it means", "What to look at", "What to do", "What is lost if nothing is done"]


def test_each_alert_has_a_page_and_each_page_an_alert() -> None:
    assert {page.stem for page in PAGES} == ALERTS.keys()


@pytest.mark.parametrize("alert", ALERTS)
def test_alert_names_its_page(alert: str) -> None:
    assert ROOT / ALERTS[alert]["annotations"]["runbook_url"] == FOLDER / f"{alert}.md"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_page_has_the_alerts_name_severity_and_headings(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert text.startswith(f"# {page.stem}\n\nSeverity: {ALERTS[page.stem]['labels']['severity']}. ")
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == HEADINGS


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_page_asks_for_metrics_that_there_are(page: Path) -> None:
    known = RECORDED | {name for metric in METRICS.values() for name in metric.exported()}
    asked = set(re.findall(r"\bray_labelstream\w+|\blabelstream:[\w:]+", page.read_text(encoding="utf-8")))
    assert asked - {"ray_labelstream"} <= known  # `grep ray_labelstream`


def test_monitor_lists_each_alert_with_its_severity() -> None:
    table = (ROOT / "docs/how-to/monitor.md").read_text(encoding="utf-8")
    listed = dict(re.findall(r"^\| \[(\w+)\]\(runbooks/\1\.md\) \| (\w+) \|", table, re.MULTILINE))
    assert listed == {name: rule["labels"]["severity"] for name, rule in ALERTS.items()}


def test_dead_letters_page_treats_every_reason() -> None:
    page = (FOLDER / "LabelstreamDeadLetters.md").read_text(encoding="utf-8")
    table = page.split("\n| reason | what to do |\n")[1].split("\n\n")[0]
    assert sorted(re.findall(r"`(\w+)`(?=[^|\n]*\|[^|\n]+\|$)", table, re.MULTILINE)) == sorted(Reason)


def test_workers_alarms_lead_to_a_page() -> None:
    assert ROOT / ALARMS_PAGE == FOLDER / "LabelstreamAlarm.md"
