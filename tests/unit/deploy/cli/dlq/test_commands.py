"""`labelstream dlq list|show|export`: which dead letters are printed, and how much of them."""

import json
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from labelstream.deploy.cli.common.connect import Broker
from labelstream.deploy.cli.dlq import commands
from labelstream.workers.stream.dlq import ledger, query
from labelstream.workers.stream.dlq.dead_letters import DeadLetter, Selection
from tests.support.dead_letters import ledger_of, letter
from tests.unit.deploy.cli.conftest import Run, fails

LETTERS = [
    letter(1, b"secret text", reason=b"too_large"),
    letter(2, b"\xff", reason=b"invalid_encoding"),
    letter(3, b"third", reason=b"too_large"),
]


@pytest.fixture(autouse=True)
def dead_letters(monkeypatch: pytest.MonkeyPatch) -> None:
    """A config whose topic `dlq` contains LETTERS; the first one was redriven."""

    @contextmanager
    def reader(broker: Broker, topics: list[str], from_beginning: bool) -> Iterator[None]:
        assert (topics, from_beginning) == (["dlq"], True)
        yield

    def find(kafka: Any, consumer: Any, bounds: Any, wanted: Selection) -> Iterator[DeadLetter]:
        return (found for found in LETTERS if wanted.wants(found))

    monkeypatch.setattr(commands, "connect", lambda kafka: Broker(kafka, {}))
    monkeypatch.setattr(commands, "require_topic", lambda broker, topic, right: None)
    monkeypatch.setattr(commands, "reader", reader)
    monkeypatch.setattr(query, "bounds_of", lambda config, kafka, consumer, wanted: {})
    monkeypatch.setattr(query, "find_letters", find)
    monkeypatch.setattr(ledger, "peek_ledger", lambda config, kafka, topic: ledger_of(LETTERS[0]))


@pytest.fixture
def config(write_config: Callable[..., str]) -> str:
    return write_config()


def test_list_prints_place_and_reason_without_message(run: Run, config: str) -> None:
    ended = run("dlq", "list", "-c", config)
    rows = [line.split("\t") for line in ended.out.splitlines()]
    assert [(row[0], row[2], row[5]) for row in rows] == [
        ("0:1", "too_large", "yes"),
        ("0:2", "invalid_encoding", "no"),
        ("0:3", "too_large", "no"),
    ]
    assert "secret" not in ended.out
    assert "3 (too_large 2, invalid_encoding 1), of which 1 redriven" in ended.err


@pytest.mark.parametrize(
    ("options", "places"),
    [(["--reason", "too_large"], ["0:1", "0:3"]), (["--at", "0:2"], ["0:2"]), (["--limit", "1"], ["0:3"])],
)
def test_list_prints_only_selected_letters(run: Run, config: str, options: list[str], places: list[str]) -> None:
    ended = run("dlq", "list", "-c", config, *options)
    assert [line.split("\t")[0] for line in ended.out.splitlines()] == places


def test_list_with_a_limit_prints_the_newest_in_the_order_of_time(
    run: Run, config: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    times = {0: 50, 1: 20, 2: 40, 3: 20, 4: 30}
    letters = [letter(offset)._replace(record=_at_time(offset, at)) for offset, at in times.items()]
    monkeypatch.setattr(query, "find_letters", lambda *_: iter(letters))
    ended = run("dlq", "list", "-c", config, "--limit", "4")
    assert [line.split("\t")[0] for line in ended.out.splitlines()] == ["0:3", "0:4", "0:2", "0:0"]
    assert "dead letters: 4 (" in ended.err


def _at_time(offset: int, timestamp_ms: int) -> Any:
    record: Any = letter(offset).record
    record.timestamp = timestamp_ms
    return record


def test_list_as_json_prints_one_object_per_line(run: Run, config: str) -> None:
    ended = run("dlq", "list", "-c", config, "--json")
    entries = [json.loads(line) for line in ended.out.splitlines()]
    assert [(entry["offset"], entry["redriven"]) for entry in entries] == [(1, True), (2, False), (3, False)]
    assert ended.err == ""


def test_show_prints_a_letter_in_full(run: Run, config: str) -> None:
    ended = run("dlq", "show", "0:1", "-c", config)
    assert ended.code == 0
    assert "value     secret text" in ended.out.splitlines()
    assert "redriven  yes" in ended.out.splitlines()


def test_export_is_readable_by_owner_alone(run: Run, config: str, tmp_path: Path) -> None:
    target = tmp_path / "letters.jsonl"
    target.touch(0o644)
    ended = run("dlq", "export", str(target), "-c", config)
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    values = [json.loads(line)["value"] for line in target.read_text().splitlines()]
    assert values == ["secret text", {"base64": "/w=="}, "third"]
    assert "exported 3 dead letters" in ended.err


def test_export_to_directory_is_refused(run: Run, config: str, tmp_path: Path) -> None:
    fails(run("dlq", "export", str(tmp_path), "-c", config), 2, "cannot be written (Is a directory); give another file")
