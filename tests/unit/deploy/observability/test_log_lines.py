"""Log lines read back: exactly what `logs` writes, and nobody else's."""

import io
import json
import logging
from collections.abc import Callable, Iterator

import pytest

from labelstream.deploy.observability import logs
from labelstream.deploy.observability.log_lines import LineReader, of_controller
from labelstream.workers.settings.telemetry import LogSettings

NAME = "labelstream.workers.stream.worker"
FOREIGN = [
    "WARNING 2026-11-28 11:17:28,060 controller 27313 -- Replica x is slow",
    "2026-11-28 11:17:28,204 WARNING pipeline-p/r1 kafka.coordinator: theirs",
    '{"logger": "kafka", "message": "theirs", "deployment": "pipeline-p"}',
    '{"not": "json',
    "(raylet) ",
    "",
]


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., list[str]]]:
    """written(log, **settings): what a process's stderr gets."""
    root, ours = logging.getLogger(), logging.getLogger(logs.OURS)
    before, level = root.handlers, ours.level

    def write(log: Callable[[logging.Logger], None], **settings: str) -> list[str]:
        root.handlers, stream = [], io.StringIO()
        monkeypatch.setattr(logs.sys, "stderr", stream)
        logs.set_up(LogSettings.model_validate(settings), deployment="pipeline-p", replica="r1")
        log(logging.getLogger(NAME))
        return stream.getvalue().splitlines()

    yield write
    root.handlers = before
    ours.setLevel(level)


def read(lines: list[str], reader: LineReader | None = None, pid: str = "7") -> list[str]:
    """Without the times."""
    return [line.split(" ", 1)[1] for line in (reader or LineReader()).read("h", pid, lines)]


def fail(log: logging.Logger) -> None:
    try:
        try:
            raise OSError("no disk")
        except OSError as error:
            raise KeyError("k") from error
    except KeyError:
        log.exception("pipeline p stopped")


def test_subject_that_the_place_names_is_not_repeated(written: Callable[..., list[str]]) -> None:
    def log(log: logging.Logger) -> None:
        log.info("pipeline p: alarm: slow")
        log.info("pipeline other: slow")

    assert read(written(log)) == ["INFO pipeline-p/r1: alarm: slow", "INFO pipeline-p/r1: pipeline other: slow"]


def test_line_is_shown_with_time_level_and_place(written: Callable[..., list[str]]) -> None:
    [shown] = LineReader().read("h", "7", written(lambda log: log.warning("starts at offset 0")))
    time, rest = shown.split(" ", 1)
    assert len(time) == len("11:17:28")
    assert rest == "WARNING pipeline-p/r1: starts at offset 0"


def test_traceback_is_shown_by_what_was_raised(written: Callable[..., list[str]]) -> None:
    lines = written(fail)
    assert any("Traceback" in line for line in lines)
    head = "ERROR pipeline-p/r1: "
    assert read(lines) == [head + "pipeline p stopped", head + "OSError: no disk", head + "KeyError: 'k'"]


def test_record_cut_between_batches_keeps_its_head(written: Callable[..., list[str]]) -> None:
    lines, reader = written(fail), LineReader()
    shown = [shown for line in lines for shown in read([line], reader)]
    assert shown == read(lines)


def test_lines_of_two_processes_are_kept_apart(written: Callable[..., list[str]]) -> None:
    first, *rest = written(lambda log: log.error("a\nb"))
    reader = LineReader()
    assert read([first], reader, "1") == ["ERROR pipeline-p/r1: a"]
    assert read(rest, reader, "2") == []
    assert read(rest, reader, "1") == ["ERROR pipeline-p/r1: b"]


@pytest.mark.parametrize("line", FOREIGN)
def test_line_of_others_is_not_shown(line: str, written: Callable[..., list[str]]) -> None:
    ours = written(lambda log: log.error("a"))
    assert read([*ours, line, "  behind it"]) == ["ERROR pipeline-p/r1: a"]


def test_json_line_is_shown_as_it_is(written: Callable[..., list[str]]) -> None:
    lines = written(fail, format="json")
    assert LineReader().read("h", "7", lines) == lines
    assert json.loads(lines[0])["replica"] == "r1"


SLOW = "Deployment 'm' in application 'labelstream' has 1 replicas that have taken more than 30s to"
REPLICA = "Replica(id='2yqjfwhn', deployment='model-m', app='labelstream')"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (
            f"Actor for {REPLICA} crashed, marking it unhealthy immediately.",
            "model m: replica 2yqjfwhn died: its process crashed or was killed; Serve replaces it",
        ),
        (f"Replica {REPLICA} failed health check, stopping it.", None),
        (
            f"Replica {REPLICA.replace('model-m', 'pipeline-a-b')} failed the health check 3 times in a row, marking..",
            "pipeline a-b: worker 2yqjfwhn failed 3 health checks; Serve replaces it",
        ),
        (
            f"Didn't receive health check response for replica {REPLICA} after 30.0s, marking it unhealthy.",
            "model m: replica 2yqjfwhn did not answer a health check in 30.0 s",
        ),
        (
            f"Health check for {REPLICA.replace('model-m', 'board')} failed: no",
            "board: 2yqjfwhn failed a health check: no",
        ),
        (f"{REPLICA} is odd.", "model m: replica 2yqjfwhn is odd."),
        (f"Actor for {REPLICA.replace('app=', 'app=x')} crashed", None),
        ("The deployments ['model-m'] are UNHEALTHY.", None),
        (
            "Deployment 'm' in application 'labelstream' has 1 replicas that have taken more than 30s to initialize.",
            None,
        ),
    ],
)
def test_what_the_controller_says_of_our_replicas_is_shown(text: str, shown: str | None) -> None:
    found = of_controller(f"WARNING 2026-11-28 12:09:43,955 controller 2362 -- {text}")
    assert found == (None if shown is None else (logging.WARNING, shown))


def test_replica_without_room_is_shown() -> None:
    text = (
        f"{SLOW} be scheduled. This may be due to waiting. Resources required for each replica: %s, "
        'total resources available: {"CPU": 0.5}. Use `ray status` for more details.'
    )
    line = f"WARNING 2026-11-28 12:09:43,955 controller 2362 -- {text}"
    said = '1 of m wait for a machine for more than 30 s; each needs {"CPU": 1.0}, free are {"CPU": 0.5}'
    assert of_controller(line % '{"CPU": 1.0}') == (logging.WARNING, said)
    assert of_controller(line % "{}") is None  # it is only slow
