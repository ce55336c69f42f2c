"""Reports and offsets in, targets out."""

from typing import Any

import pytest

from labelstream.deploy.control import autoscaler, backlog_outage
from labelstream.deploy.control.autoscaler import Autoscaler, _backlog
from labelstream.deploy.control.reports import Reports
from labelstream.workers.config_file import load_settings
from labelstream.workers.errors import StreamError
from labelstream.workers.settings.application import Settings
from labelstream.workers.stream.broker.backlog import Standing
from tests.support.reports import gateway_report, model_report, pipeline_report


def settings(**pipeline: Any) -> Settings:
    return load_settings(
        {
            "kafka": {"bootstrap_servers": "localhost:9092"},
            "models": {"m": {"source": "a/b", "replicas": {"min": 1, "max": 8}}, "unused": {"source": "a/c"}},
            "pipelines": {
                "p": {
                    "input": "i",
                    "output": "o",
                    "dead_letter": "d",
                    "model": "m",
                    "workers": {"min": 1, "max": 3},
                    **pipeline,
                }
            },
        }
    )


class System:
    """One worker with one replica that does 1,000 messages/s, and 3,000 that come each second."""

    def __init__(self) -> None:
        self.now, self.silent = 0.0, False
        self.made = Autoscaler(settings(), self.reports, self.read, clock=lambda: self.now)

    def reports(self) -> Reports:
        done = int(self.now * 1_000)
        worker = pipeline_report(messages_in=done, cpu_s=self.now * 0.1, tokens={"m": done * 32})
        return {
            "pipelines": {"p": {"w": worker}},
            "models": {"m": {"r": model_report(tokens=done * 32, busy_s=self.now)}},
        }

    def read(self) -> dict[str, dict[str, Standing]]:
        if self.silent:
            raise StreamError("no broker")
        backlog = Standing(int(self.now * 500), int(self.now * 2_000 / 6))
        return {"p": {f"in:{number}": backlog for number in range(6)}}

    def run(self, seconds: int) -> dict[str, int]:
        for _ in range(seconds):
            self.now += 1
            self.made.look()
        return self.made.targets()


def test_it_watches_first_and_then_decides() -> None:
    system = System()
    assert system.run(int(autoscaler.FIRST_WATCH_S) - 1) == {}
    targets = system.run(20)
    assert 3 < targets["model-m"] <= 8
    assert targets["pipeline-p"] >= 1
    status = system.made.status()
    assert status["backlog"]["p"]["lag"] == pytest.approx(2_000 * system.now, rel=0.01)
    assert status["backlog"]["p"]["arrival_per_s"] == pytest.approx(3_000, rel=0.01)
    assert "tokens wait" in status["reasons"]["model-m"]


def test_it_holds_while_the_brokers_are_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backlog_outage, "SHORT_S", 0.0)
    system = System()
    before = system.run(60)
    system.silent = True
    assert system.run(600) == before
    status = system.made.status()
    assert status["backlog"]["p"]["stale"]
    assert status["warnings"]["p"].endswith(" UTC: no broker")
    system.silent = False
    system.run(1)
    assert "p" not in system.made.status()["warnings"]


def test_it_begins_with_what_runs() -> None:
    system = System()
    system.silent = True  # as after a start of the control plane anew in an outage
    assert system.run(100) == {"model-m": 1, "pipeline-p": 1}


def test_a_bug_leaves_everything_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    class Ended(Exception):
        pass

    def end(seconds: float) -> None:
        raise Ended

    system = System()
    system.run(60)
    monkeypatch.setattr(system.made, "_reports", lambda: 1 / 0)
    monkeypatch.setattr(autoscaler.time, "sleep", end)
    with pytest.raises(Ended):
        system.made._run()
    assert system.made.targets() == {}


@pytest.mark.parametrize(
    ("own", "lag"),
    [
        (None, 70),  # nobody holds it
        ([0, 100], 0),  # all done; the last records end transactions, or are not committed yet
        ([20, 95], 25),  # what it knows, and what came since
        ([500, 100], 70),  # a worker that just began to hold it
    ],
    ids=str,
)
def test_the_worker_that_holds_a_partition_knows_it_better(own: Any, lag: int) -> None:
    workers = {"w": pipeline_report(partitions={} if own is None else {"in:3": own}), "other": pipeline_report()}
    assert _backlog({"in:3": Standing(100, 70)}, workers)["in:3"].lag == lag


def test_http_requests_count_without_a_pipeline() -> None:
    now = 0.0
    config = {"models": {"m": {"source": "a/b", "replicas": {"min": 0, "max": 9}}}, "http": {}}

    def reports() -> Reports:
        tokens = int(now * 32_000)
        gateway = gateway_report(models={"m": {"texts": tokens // 32, "tokens": tokens, "waiting": 0}})
        models = {"m": {"r": model_report(tokens=tokens, busy_s=now / 2)}}
        return {"pipelines": {}, "models": models, "gateway": {"gateway": {"g": gateway}}}

    made = Autoscaler(load_settings(config), reports, dict, clock=lambda: now)
    for _ in range(400):
        now += 1
        made.look()
    assert made.targets() == {"model-m": 1}
