"""The demo's rate and its summary."""

from labelstream.deploy.accounting import Accounting
from labelstream.deploy.cli.demo.view import Rate, accuracy, summary


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
    assert accuracy("owner/model") == "owner/model (no accuracy was measured here)"
