"""How many replicas suspects may kill in a while."""

import pytest

from labelstream.deploy.model_client import crash_budget
from labelstream.workers.classifier import Fault, Prediction, Progress, Request
from labelstream.workers.errors import InferenceError
from tests.support.crashing_replica import MortalHandle, innocent
from tests.support.slow_model import check, connected


@pytest.mark.usefixtures("fast")
def test_different_records_kill_so_many_replicas_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crash_budget, "MAX_DEATHS", 6)
    texts = [f"{innocent(i)} a a" for i in range(30)]
    for i in range(5):
        texts[6 * i] = "d" + " a" * i
    handle = MortalHandle()
    with connected(handle, 10.0) as classifier:
        progress, requests = Progress(), [Request(text) for text in texts]
        for _ in range(3):
            with pytest.raises(InferenceError, match="different records killed 6 replicas of model m "):
                classifier.submit(requests, progress).result(30)
            assert handle.deaths == 2 + 6
            assert classifier.trouble()
        others = classifier.submit([Request("a")]).result(30)
        assert isinstance(others[0], Prediction)
        while classifier.resume():  # five records kill more than six replicas
            try:
                check(texts, classifier.submit(requests, progress).result(30), Fault.CRASHES_MODEL)
            except InferenceError:
                assert classifier.trouble()
    assert classifier.trouble() == ""
    assert handle.deaths <= 2 + 5 * 4


def test_a_pause_ends_by_itself() -> None:
    now = [1_000.0]
    found = crash_budget.CrashBudget("m", lambda: now[0])
    for _ in range(crash_budget.MAX_DEATHS):
        found.risk()
        found.died()
        now[0] += 1
    assert found.trouble() == ""  # nobody has had to wait yet
    with pytest.raises(crash_budget.Paused):
        found.risk()
    assert "paused" in found.trouble()
    now[0] = 1_000 + crash_budget.WINDOW_S
    assert found.trouble() == ""
    found.risk()
    found.died()
    with pytest.raises(crash_budget.Paused):
        found.risk()
    assert found.resume()
    assert not found.resume()
    found.risk()
