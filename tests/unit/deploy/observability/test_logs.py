"""Lines as JSON: one object each, with what the line says of itself, whoever logs in the process."""

import json
import logging
from collections.abc import Callable, Iterator

import pytest

from labelstream.deploy.observability import logs
from labelstream.workers.settings.telemetry import LogSettings


@pytest.fixture
def lines(capsys: pytest.CaptureFixture[str]) -> Iterator[Callable[[], str]]:
    root = logging.getLogger()
    ours = logging.getLogger(logs.OURS)
    before, level = root.handlers, ours.level
    root.handlers = []  # what a command's test may have left
    yield lambda: capsys.readouterr().err
    root.handlers = before
    ours.setLevel(level)


def test_a_line_is_an_object_with_its_place(lines: Callable[[], str]) -> None:
    logs.set_up(LogSettings(format="json"), deployment="pipeline-p", replica="r1")
    logging.getLogger("labelstream.workers.stream.consumer.source").info(
        "two\nlines of %s", "ours", extra={"topic": "in", "partition": 3, "offset": 17}
    )
    logging.getLogger("somebody.else").warning("theirs")
    ours, theirs = (json.loads(line) for line in lines().splitlines())
    assert {key: ours[key] for key in ours if key != "timestamp"} == {
        "level": "INFO",
        "logger": "labelstream.workers.stream.consumer.source",
        "message": "two\nlines of ours",
        "topic": "in",
        "partition": 3,
        "offset": 17,
        "deployment": "pipeline-p",
        "replica": "r1",
    }
    assert ours["timestamp"].endswith("+00:00")
    assert theirs["message"] == "theirs"


def test_what_failed_comes_along(lines: Callable[[], str]) -> None:
    logs.set_up(LogSettings(format="json"))
    try:
        raise ValueError("why")
    except ValueError:
        logging.getLogger("labelstream.deploy").exception("it failed")
    assert "ValueError: why" in json.loads(lines())["exc_info"]


def test_set_up_twice_sets_own_level_and_logs_once(lines: Callable[[], str]) -> None:
    for _ in range(2):
        logs.set_up(LogSettings(level="warning"))
    logging.getLogger("labelstream.workers").info("not this")
    logging.getLogger("labelstream.workers").warning("this")
    (line,) = lines().splitlines()
    assert line.endswith("WARNING - labelstream.workers: this")


def test_text_line_has_no_control_characters(lines: Callable[[], str]) -> None:
    logs.set_up(LogSettings())
    logging.getLogger("labelstream.workers").error("a broker's \x1b[2J\x07text\x9b, with\ttabs\nand lines")
    assert lines().endswith("a broker's \\x1b[2J\\x07text\\x9b, with\ttabs\n  and lines\n")


def test_text_line_says_its_place(lines: Callable[[], str]) -> None:
    logs.set_up(LogSettings(), deployment="pipeline-50%", replica="r1")
    logging.getLogger("labelstream.workers").error("this")
    assert lines().endswith(" ERROR pipeline-50%/r1 labelstream.workers: this\n")
