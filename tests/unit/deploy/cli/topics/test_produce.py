"""`produce`: what it refuses before it connects, and what it does about refusals."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from labelstream.deploy.cli.topics import produce as module
from labelstream.deploy.cli.topics.in_memory_broker import InMemoryBroker
from tests.unit.deploy.cli.conftest import Run, fails


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--raw", "--format", "json"), "--raw: sends lines as they are"),
        (("--key-field", "id", "--key-separator", ","), "--key-field: comes beside --key-separator"),
        (("--key-separator", ""), "--key-separator: is empty"),
        (("/no/such/file",), "/no/such/file: cannot be read (No such file or directory)"),
    ],
)
def test_options_that_contradict_are_refused(run: Run, arguments: tuple[str, ...], said: str) -> None:
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


def test_message_that_is_refused_is_told(
    run: Run, bootstrap: str, stdin: Callable[[bytes], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LARGEST_RECORD_BYTES", 1)
    stdin(b"x" * 2_000_000 + b"\n")
    ended = run("produce", "lines", "-b", bootstrap)
    assert ended.code == 1
    acknowledged, problem = ended.err.splitlines()
    assert acknowledged.startswith("0 messages acknowledged")
    assert problem.startswith("labelstream: topic lines: a message was refused (MessageSizeTooLargeError")
