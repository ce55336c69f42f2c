"""Lines that come by Ray's subscription, and its end."""

import queue
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ray._private import worker as ray_worker

from labelstream.deploy.cluster.worker_logs import WORKER_DIED, WorkerLogs, ray_messages_logged, source_of

LINE = "2026-11-28 11:17:28,204 INFO model-m/r1 labelstream.workers.engine.loading.loader: ready"


class Source:
    """In place of Ray's."""

    def __init__(self, *batches: Any) -> None:
        self.subscribed = False
        self._batches: queue.Queue[Any] = queue.Queue()
        for batch in batches:
            self._batches.put(batch)

    def subscribe(self) -> None:
        self.subscribed = True

    def poll(self, timeout: float) -> Any:
        batch = self._batches.get(timeout=timeout) if not self._batches.empty() else None
        if isinstance(batch, Exception):
            raise batch
        return batch


def batch(*lines: str, is_err: bool = True) -> dict[str, Any]:
    return {"ip": "h", "pid": "7", "is_err": is_err, "lines": list(lines)}


def said(*batches: Any) -> list[str]:
    lines: list[str] = []
    source = Source(*batches)
    WorkerLogs(lines.append, source).close()
    assert source.subscribed
    return lines


def test_all_lines_that_came_before_the_end_are_said() -> None:
    assert said(batch(LINE), batch(), None, batch(LINE, "noise")) == 2 * ["11:17:28 INFO model-m/r1: ready"]


def test_standard_output_is_not_said() -> None:
    assert said(batch(LINE, is_err=False)) == []


def test_lost_connection_ends_it_quietly() -> None:
    assert said(batch(LINE), RuntimeError("gone"), batch(LINE)) == ["11:17:28 INFO model-m/r1: ready"]


def test_death_of_a_replica_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    replica = "Replica(id='r1', deployment='model-m', app='labelstream')"
    assert said(batch(f"WARNING 2026-11-28 12:09:43,955 controller 7 -- Actor for {replica} crashed")) == []
    assert caplog.messages == ["model m: replica r1 died: its process crashed or was killed; Serve replaces it"]


def test_lines_come_from_the_files_of_this_machine_or_from_ray(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(ray_worker, "_global_node", SimpleNamespace(get_logs_dir_path=lambda: str(tmp_path)))
    monkeypatch.setattr(ray_worker, "global_worker", SimpleNamespace(gcs_log_subscriber="Ray's"))
    (tmp_path / "worker-1.err").write_text("a\n")
    assert source_of(local=True).poll(0)["lines"] == ["a"]
    assert source_of(local=False) == "Ray's"


def test_messages_of_ray_are_log_lines(caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]) -> None:
    died = f"{WORKER_DIED} while executing\n a task. Worker PID: 7"
    before = ray_worker.print_to_stdstream
    with ray_messages_logged(), caplog.at_level("DEBUG"):
        for text in (died, "The disk\nis full"):
            ray_worker.print_to_stdstream({"lines": [text], "pid": "raylet", "is_err": False}, ignore_prefix=False)
    assert [(line.levelname, line.getMessage()) for line in caplog.records] == [
        ("DEBUG", f"Ray: {WORKER_DIED} while executing a task. Worker PID: 7"),
        ("WARNING", "Ray: The disk is full"),
    ]
    assert capsys.readouterr().out == ""
    assert ray_worker.print_to_stdstream is before
