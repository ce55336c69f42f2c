"""A spike of twenty times the load: the real system scales as the simulator predicts."""

import json
import os
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from labelstream.deploy.cluster.application import control_client
from labelstream.deploy.simulate.cluster import Cluster
from labelstream.deploy.simulate.outcome import Outcome
from labelstream.deploy.simulate.scalers import Ours
from labelstream.deploy.simulate.traces import Trace
from labelstream.deploy.simulate.world import run
from labelstream.workers.settings.application import Settings
from labelstream.workers.stream.flow_control.batch_sizer import ORDINARY_RECORDS
from tests.cluster.system import Stream, Topics, cluster_of, running, settings_for
from tests.kafka import Broker
from tests.support.streams import wait_until

pytestmark = [pytest.mark.timeout(900), pytest.mark.measured]
# Replicas start slowly: nine processes that start at once need two cores, and the worker needs its share.
PER_TEXT_S = 0.01
BASE, SPIKE = 40, 800
BEFORE_S, SPIKE_S, AFTER_S = 60, 60, 120
MOST = 10
TOLERANCE = 0.2


class Series:
    """Values of the control plane, once a second."""

    def __init__(self, stream: Stream) -> None:
        self._stream, self._ended = stream, threading.Event()
        self.rows: list[dict[str, float]] = []
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._ended.set()
        self._thread.join(10)

    def _run(self) -> None:
        while not self._ended.wait(1.0):
            status: Any = control_client.status()
            scaling, backlog = status["scaling"], status["scaling"]["backlog"].get("p", {})
            self.rows.append(
                {
                    "at": self._stream.now(),
                    "lag": backlog.get("lag", 0),
                    "oldest_s": backlog.get("oldest_s", 0),
                    "replicas": _fresh(status["models"].get("m", {})),
                    "workers": _fresh(status["pipelines"].get("p", {})),
                    "target": scaling["targets"].get("model-m", 1),
                }
            )

    def starts(self) -> list[float]:
        """Seconds from the request for each replica to its first report."""
        asked: dict[int, float] = {}
        took: list[float] = []
        for row in self.rows:
            for number in [number for number in asked if number <= row["replicas"]]:
                took.append(row["at"] - asked.pop(number))
            for number in range(int(row["replicas"]) + 1, int(row["target"]) + 1):
                asked.setdefault(number, row["at"])
        return took


def _fresh(found: dict[str, Any]) -> int:
    return sum(stats["age_s"] < 5 for stats in found.values())


def test_scaling_follows_spike_as_simulated(kafka: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.cluster.system.PER_TEXT_S", PER_TEXT_S)
    topics = Topics.made(kafka, "spike")
    settings = settings_for(kafka.bootstrap, topics, {"min": 1, "max": MOST}, {"min": 1, "max": 4})
    with cluster_of([MOST]) as cluster, running(cluster, settings):
        stream = Stream(kafka.bootstrap, topics, BASE)
        series = Series(stream)
        wait_until(lambda: bool(control_client.status().get("scaling", {}).get("targets")), 60, "a decision")
        time.sleep(BEFORE_S)
        stream.per_s = SPIKE
        time.sleep(SPIKE_S)
        stream.per_s = BASE
        time.sleep(AFTER_S)
        most = max(row["replicas"] for row in series.rows)
        wait_until(lambda: series.rows[-1]["replicas"] <= 2, 240, "fewer replicas again")
        series.close()
        stream.close(60)
    starts = series.starts()
    simulated = simulate(stream, settings, starts)
    peak, said = max(row["lag"] for row in series.rows), int(simulated.lag.max())
    report = {
        "peak_lag": peak,
        "simulated_peak_lag": said,
        "replicas": most,
        "simulated_replicas": int(simulated.replicas.max()),
        "start_s": [round(took, 1) for took in starts],
        "messages": stream.sent,
        "twice": sum(stream.results.values()) - len(stream.results),
        "oldest_s": max(row["oldest_s"] for row in series.rows),
    }
    print("\n" + json.dumps(report))
    if path := os.environ.get("SPIKE_JSON"):
        Path(path).write_text(json.dumps({**report, "rows": series.rows, "simulated_lag": simulated.lag.tolist()}))
    assert len(stream.results) == stream.sent
    assert most >= 5
    assert abs(peak - said) <= TOLERANCE * said


def simulate(stream: Stream, settings: Settings, starts: list[float]) -> Outcome:
    """Simulate the same arrivals with the start-up times of this run."""
    pipeline, model = settings.pipelines["p"], settings.models["m"]
    cluster = Cluster(
        replica_per_s=1 / PER_TEXT_S,
        worker_per_s=20_000,
        tokens=30,
        calls=pipeline.most_in_flight,
        call_messages=min(ORDINARY_RECORDS, pipeline.max_poll_records),
        node_start_s=0,
        max_replicas=model.replicas.max,
        told_s=2,
        max_workers=pipeline.workers.max,
        starts=tuple(starts),
    )
    arrivals = np.array(stream.arrivals)
    trace = Trace("spike", 1.0, arrivals, np.zeros(len(arrivals), bool))
    return run(trace, cluster, Ours(cluster, pipeline.target_drain_s, pipeline.max_lag_s), pipeline.max_lag_s)
