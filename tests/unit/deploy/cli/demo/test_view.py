"""The demo's progress and summary."""

import json
from collections import Counter
from pathlib import Path

import pytest

from labelstream.deploy.accounting import Accounting
from labelstream.deploy.cli.common.arguments import DEMO_MODEL
from labelstream.deploy.cli.demo.stream import Answer
from labelstream.deploy.cli.demo.view import Rate, accuracy, name_of, shown, state, summary


def test_rate_covers_last_seconds_alone() -> None:
    now = [0.0]
    rate, seen = Rate(span_s=5.0, clock=lambda: now[0]), []
    for second in range(1, 21):
        now[0] = float(second)
        seen.append(rate.at(100 * min(second, 10)))
    assert seen[-1] == 0


def test_summary_counts_missing_messages() -> None:
    ledger = Accounting()
    ledger.sent(0, 0)
    text = "\n".join(summary(ledger.totals(), 2.0, [("Ray", 3.0)], "owner/model"))
    assert "1 of 1 messages did not come back, 0 were never sent" in text
    assert "Ray 3.0 s" in text
    assert "owner/model" in text


def test_no_line_is_wider_than_80_columns(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    dead = Counter(dict.fromkeys(("invalid_message", "invalid_json", "empty_text", "unknown_model"), 1000))
    totals = Accounting().totals()._replace(sent=999_999, results=995_999, dead_letters=dead, p50_ms=9_999.0)
    monkeypatch.setattr("labelstream.deploy.cli.demo.view.LINE_EVERY_S", 0.0)
    monkeypatch.setattr(Rate, "at", lambda self, count: 9_999.0)
    with shown() as show:
        show(totals, [Answer("long " * 40, "POSITIVE", 0.5)])
    stages = [(name, 100.0) for name in ("broker", "Ray", "model and worker", "group")]
    for model in (DEMO_MODEL, "/a/directory" * 20):
        print("\n".join(summary(totals, 100.0, stages, model)))
    lines = [state(totals, 9_999.0), *capsys.readouterr().out.splitlines()]
    assert "all 999999 messages are accounted for" in lines[4]
    assert [line for line in lines if len(line) > 80] == []


def test_accuracy_is_read_from_report(tmp_path: Path) -> None:
    report = {"accuracy": 0.875, "sentences": 80, "texts": "held-back\x1b sentences"}
    (tmp_path / "accuracy.json").write_text(json.dumps(report), "utf-8")
    assert accuracy(tmp_path) == r"87.5% right on 80 held-back\x1b sentences"


@pytest.mark.parametrize("report", [None, "{", "{}", '{"accuracy": "high", "sentences": 1, "texts": ""}'])
def test_accuracy_without_a_report_is_none(tmp_path: Path, report: str | None) -> None:
    if report is not None:
        (tmp_path / "accuracy.json").write_text(report, "utf-8")
    assert accuracy(tmp_path) == "no accuracy was measured"


def test_shipped_model_is_named_as_demo_model() -> None:
    assert name_of(str(DEMO_MODEL)) == "the demo's small sentiment model"
