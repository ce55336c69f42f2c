"""The worker's CPU per message, without the CPU at rest, and without kafka-python's part."""

import time
from types import SimpleNamespace

import pytest

from labelstream.deploy.bench.suites import worker_cpu
from labelstream.deploy.bench.suites.worker_cpu import cpu_figures, cpu_rounds


class Machine:
    """A worker with 0.01 CPU seconds per second at rest, and 20 us more per message. Takes no real time."""

    now = 0.0
    messages = 0

    def pass_by(self, seconds: float) -> None:
        self.now += seconds

    def cpu_s(self, pid: int) -> float:
        assert pid == 4711
        return 0.01 * self.now + 20e-6 * self.messages

    def stream(self, texts: list[str]) -> float:
        self.messages += len(texts)
        self.pass_by(2.0)
        return 2.0


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    found = Machine()
    monkeypatch.setattr(worker_cpu, "time", SimpleNamespace(sleep=found.pass_by, perf_counter=lambda: found.now))
    monkeypatch.setattr(worker_cpu, "cpu_s", found.cpu_s)
    monkeypatch.setattr(worker_cpu, "processes", lambda pipeline: SimpleNamespace(worker=4711))
    return found


def test_cpu_at_rest_and_kafka_python_are_subtracted(machine: Machine) -> None:
    said: list[str] = []
    asked: list[tuple[int, int]] = []

    def bare(turn: int, count: int) -> float:
        asked.append((turn, count))
        return 5e-6 * count

    found = cpu_rounds(machine.stream, bare, ["text"] * 1_000, 2, said.append)
    assert asked == [(0, 1_000), (1, 1_000), (2, 1_000)]
    assert cpu_figures(found) == {
        "cpu_us_per_message": 20.0,
        "own_cpu_us_per_message": 15.0,
        "kafka_python_us_per_message": 5.0,
        "messages_per_s_with_null_model": 500.0,
    }
    assert [len(values) for values in found.values()] == [2] * 4, "the first round warms up"
    assert said[-1].startswith("round 2 of 2: 20.0 us of CPU per message")


def test_figures_are_medians() -> None:
    rounds = {name: [1.0, 9.0, 2.0] for name in ("total", "own", "bare", "rate")}
    assert set(cpu_figures(rounds).values()) == {2.0}


def test_clock_is_put_back() -> None:
    assert worker_cpu.time is time
