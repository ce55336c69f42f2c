"""The demo's rate and its summary."""

import json
from pathlib import Path

import pytest

from labelstream.deploy.accounting import Accounting
from labelstream.deploy.cli.common.arguments import DEMO_MODEL
from labelstream.deploy.cli.demo.view import Rate, accuracy, name_of, summary


def test_the_rate_forgets() -> None:
    now = [0.0]
    rate, seen = Rate(span_s=5.0, clock=lambda: now[0]), []
    for second in range(1, 21):
        now[0] = float(second)
        seen.append(rate.at(100 * min(second, 10)))
    assert seen[-1] == 0


def test_the_summary_says_what_is_missing() -> None:
    ledger = Accounting()
    ledger.sent(0, 0)
    text = "\n".join(summary(ledger.totals(), 2.0, [("Ray", 3.0)], "owner/model"))
    assert "of 1 messages 1 did not come back" in text
    assert "Ray 3.0 s" in text
    assert "owner/model" in text


def test_accuracy_is_the_stored_one_with_its_texts(tmp_path: Path) -> None:
    report = {"accuracy": 0.875, "sentences": 80, "texts": "held-back\x1b sentences"}
    (tmp_path / "accuracy.json").write_text(json.dumps(report), "utf-8")
    assert accuracy(tmp_path) == r"87.5% right on 80 held-back\x1b sentences"


@pytest.mark.parametrize("report", [None, "{", "{}", '{"accuracy": "high", "sentences": 1, "texts": ""}'])
def test_accuracy_without_a_report_is_none(tmp_path: Path, report: str | None) -> None:
    if report is not None:
        (tmp_path / "accuracy.json").write_text(report, "utf-8")
    assert accuracy(tmp_path) == "no accuracy was measured here"


def test_the_shipped_model_is_named_as_the_demos() -> None:
    assert name_of(str(DEMO_MODEL)) == "the demo's small sentiment model"
