"""`produce`: refused options, and messages that the broker refuses."""

import gzip
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from labelstream.deploy.cli.topics import produce as module
from labelstream.deploy.cli.topics.in_memory_broker import InMemoryBroker
from tests.unit.deploy.cli.conftest import Run, fails


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--raw", "--format", "json"), "--raw: sends lines unchanged"),
        (("--key-field", "id", "--key-separator", ","), "--key-field: unexpected beside --key-separator"),
        (("--key-separator", ""), "--key-separator: is empty"),
        (("--format", "auto"), "--format: 'auto' was removed; leave out --format"),
        (("--format", "yaml"), "--format: unknown format 'yaml'; give json or text"),
        (("--raw", "--wrap"), "--raw: sends lines unchanged"),
        (("--wrap", "--format", "text"), "--wrap: makes JSON"),
        (("--wrap", "--key-field", "id"), "--wrap: uses whole lines as texts"),
        (("/dev/null", "--text-field", "a"), "--text-field: has no effect on lines that are sent as JSON"),
        (("/no/such/file",), "/no/such/file: cannot be read (No such file or directory)"),
    ],
)
def test_contradicting_options_are_refused(run: Run, arguments: tuple[str, ...], said: str) -> None:
    fails(run("produce", "topic", *arguments), 2, said)


@pytest.fixture(scope="module")
def bootstrap() -> Iterator[str]:
    broker = InMemoryBroker()
    yield broker.bootstrap
    broker.close()


def test_lines_of_a_file_are_acknowledged(run: Run, bootstrap: str, tmp_path: Path) -> None:
    (tmp_path / "lines").write_text("one\n\ntwo\n")
    ended = run("produce", "lines", str(tmp_path / "lines"), "-b", bootstrap)
    assert (ended.code, ended.out) == (0, "")
    assert ended.err.startswith("2 messages acknowledged by lines in ")
    shown = run("tail", "lines", "--json", "-b", bootstrap)
    assert sorted(shown.out.splitlines()) == ['{"text": "one"}', '{"text": "two"}']


def test_reading_from_terminal_is_announced(
    run: Run, bootstrap: str, stdin: Callable[[bytes], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    stdin(b"")
    monkeypatch.setattr(module.TextFile, "is_terminal", True)
    told, sent = run("produce", "lines", "-b", bootstrap).err.splitlines()
    assert told == "reading lines from the terminal until Ctrl-D"
    assert sent.startswith("0 messages acknowledged")


def test_table_is_sent_in_format_of_the_pipeline(
    run: Run, bootstrap: str, write_config: Callable[..., str], tmp_path: Path
) -> None:
    config = write_config("model: sentiment}", "model: sentiment, text_field: a.b}", bootstrap=bootstrap)
    table = tmp_path / "reviews.csv.gz"
    table.write_bytes(gzip.compress(b"id,review\n7,so\n"))
    ended = run("produce", "feedback", str(table), "-c", config, "--text-field", "review", "--key-field", "id")
    assert (ended.code, ended.err[:34]) == (0, "1 message acknowledged by in in 0."), ended
    assert run("tail", "in", "--json", "-b", bootstrap).out == '{"id": "7", "a": {"b": "so"}}\n'
    told = run("produce", "feedback", str(table), "-c", config, "--format", "text")
    fails(told, 2, "--format: pipeline feedback reads json; leave out --format")
    fails(run("produce", "feedback", str(table), "-c", config, "--wrap"), 2, "--wrap: is for lines, but ")


def test_unreadable_file_is_not_sent(
    run: Run, bootstrap: str, write_config: Callable[..., str], tmp_path: Path
) -> None:
    (tmp_path / "plain").write_text("good\n")
    config = write_config("input: in", "input: fresh", bootstrap=bootstrap)
    fails(run("produce", "feedback", str(tmp_path / "plain"), "-c", config), 1, "add --wrap", "nothing was sent")
    assert run("produce", "feedback", str(tmp_path / "plain"), "-c", config, "--raw").code == 0
    assert run("produce", "feedback", str(tmp_path / "plain"), "-c", config, "--wrap").code == 0
    shown = run("tail", "fresh", "--json", "-b", bootstrap).out
    assert sorted(shown.splitlines()) == ["good", '{"text": "good"}']


def test_refused_message_is_reported(
    run: Run, bootstrap: str, stdin: Callable[[bytes], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LARGEST_RECORD_BYTES", 1)
    stdin(b"x" * 2_000_000 + b"\n")
    ended = run("produce", "lines", "-b", bootstrap)
    assert ended.code == 1
    acknowledged, problem = ended.err.splitlines()
    assert acknowledged.startswith("0 messages acknowledged")
    assert problem.startswith("labelstream: topic lines: the broker refused a message (MessageSizeTooLargeError")
