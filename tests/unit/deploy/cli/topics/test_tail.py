"""`tail`: where it starts, how much it shows, and in which form."""

import io
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from confluent_kafka import Producer
from rich.console import Console

from labelstream.deploy.cli.common.connect import load_config
from labelstream.deploy.cli.topics import tail as tail_module
from labelstream.deploy.cli.topics.in_memory_broker import InMemoryBroker
from labelstream.deploy.cli.topics.source_texts import SourceText
from tests.unit.deploy.cli.conftest import Run, fails

RESULT = (
    b'{"label": "GOOD", "score": 0.5, "id": 7, "tokens": 3, "truncated": false, "model": "m", '
    b'"source": {"topic": "in", "partition": 1, "offset": 2}}'
)
VALUES = [RESULT, b"no \x1b JSON", b"last"]


@pytest.fixture(scope="module")
def bootstrap() -> Iterator[str]:
    """The address of a broker with VALUES in one partition of `topic`."""
    broker = InMemoryBroker()
    producer = Producer({"bootstrap.servers": broker.bootstrap})
    for value in VALUES:
        producer.produce("topic", value, partition=0)
    assert producer.flush(10) == 0
    yield broker.bootstrap
    broker.close()


def test_rows_have_columns_and_no_control_characters(run: Run, bootstrap: str) -> None:
    ended = run("tail", "topic", "-b", bootstrap)
    assert (ended.code, ended.err) == (0, "3 messages\n")
    result, other, _ = ended.out.splitlines()
    assert result.split("\t") == ["GOOD", "0.5000", "7", "3", "m", "in:1:2"]
    assert other.endswith("no \\x1b JSON")


def test_json_prints_unchanged_values(run: Run, bootstrap: str) -> None:
    ended = run("tail", "topic", "--json", "-b", bootstrap)
    assert ended.out.encode() == b"".join(value + b"\n" for value in VALUES)
    assert ended.err == ""


def test_with_text_adds_text_of_each_result(run: Run, bootstrap: str, write_config: Callable[..., str]) -> None:
    text = "so\tlong " * 30
    source = json.dumps({"event": {"message": text}}).encode()
    producer = Producer({"bootstrap.servers": bootstrap, "log_level": 0})
    for partition, value in ((1, b"0"), (1, b"1"), (1, source)):
        producer.produce("in", value, partition=partition)
    assert producer.flush(10) == 0
    config = write_config("model: sentiment}", "model: sentiment, text_field: event.message}", bootstrap=bootstrap)
    ended = run("tail", "topic", "--with-text", "-c", config)
    assert (ended.code, ended.err) == (0, "3 messages\n")
    assert [line.split("\t")[6] for line in ended.out.splitlines()] == [text.replace("\t", "\\t"), "-", "-"]
    lines = run("tail", "topic", "--with-text", "--json", "-c", config).out.encode().splitlines()
    assert json.loads(lines[0])["text"] == text
    assert lines[1:] == VALUES[1:]


def test_pipeline_means_its_output(run: Run, bootstrap: str, write_config: Callable[..., str]) -> None:
    config = write_config("output: out", "output: topic", bootstrap=bootstrap)
    assert run("tail", "feedback", "-c", config).err == "3 messages\n"


def test_pipeline_goes_before_a_topic_of_its_name(
    write_config: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    settings = load_config(Path(write_config("input: in", "input: feedback")))
    assert tail_module._topic_of("feedback", settings) == ("out", ["feedback", "out", "dlq"])
    assert capsys.readouterr().err == (
        "note: feedback is a pipeline and a topic: showing the pipeline's output out; --bootstrap shows topics\n"
    )


def test_since_is_refused_on_in_memory_broker(run: Run, bootstrap: str) -> None:
    fails(
        run("tail", "topic", "--since", "1h", "-b", bootstrap), 1, "--since: the in-memory broker has no index of times"
    )
    fails(
        run("tail", "topic", "--since", "1h", "--from-beginning", "-b", bootstrap), 2, "unexpected beside --from-beginn"
    )
    fails(run("tail", "topic", "--since", "soon", "-b", bootstrap), 2, "--since: 'soon' is not a time")


def test_max_is_number_of_newest_or_of_oldest(run: Run, bootstrap: str) -> None:
    newest = run("tail", "topic", "-n", "1", "--json", "-b", bootstrap)
    assert (newest.out, newest.err) == ("last\n", "")
    for more in (), ("--follow",):
        oldest = run("tail", "topic", "--from-beginning", "-n", "2", *more, "-b", bootstrap)
        assert (oldest.code, oldest.err, "last" in oldest.out) == (0, "2 messages\n", False)
    assert run("tail", "topic", "-n", "0", "-b", bootstrap).err == "0 messages\n"


def test_newest_messages_say_that_there_are_older_ones(
    run: Run, bootstrap: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tail_module, "NEWEST", 2)
    for form in (), ("--json",):
        ended = run("tail", "topic", *form, "-b", bootstrap)
        assert (len(ended.out.splitlines()), ended.err) == (2, "2 messages, the newest; --from-beginning shows all\n")


@pytest.mark.parametrize(("follow", "gaps"), [(False, 6), (True, 13)])
def test_table_with_texts_fits_the_terminal(monkeypatch: pytest.MonkeyPatch, follow: bool, gaps: int) -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=80, height=30)
    monkeypatch.setattr(tail_module, "out", lambda: console)
    monkeypatch.setattr("sys.stdout", console.file)
    record = SimpleNamespace(value=RESULT, headers=(), key=None, topic="topic", partition=0, offset=0)
    abstained = RESULT.replace(b'"id"', b'"labels": [], "abstained": true, "id"')
    with tail_module._view(False, follow, True) as show:
        show(record, SourceText("long " * 40))
        show(record, SourceText(None, "gone"))
        show(SimpleNamespace(**{**vars(record), "value": abstained}), SourceText("long"))
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert "…" in shown
    assert "(gone)" in shown
    assert "abstained: GOOD" in shown
    assert all(len(line) <= 80 for line in re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown).splitlines())


@pytest.mark.parametrize("width", [80, 100, 119, 120, 200])
def test_rows_never_wrap_and_keep_the_offset(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], width: int
) -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=width, height=30)
    monkeypatch.setattr(tail_module, "out", lambda: console)
    long = RESULT.replace(b'"in"', b'"customer.feedback.of.all.shops.in.europe"').replace(b"GOOD", b"VERY_" * 9)
    headers = [("labelstream.reason", b"invalid_json"), ("__connect.errors.topic", b"in")]
    headers += [("__connect.errors.exception.message", b"Expecting value: line 1 column 1"), ("id", b"x" * 99)]
    shown = ({"value": long}, {"value": b"long " * 99}, {"value": b"{", "headers": headers})
    with tail_module._view(False, False, False) as show:
        for fields in shown:
            record = {"value": None, "headers": (), "key": None, "topic": "topic", "partition": 0, "offset": 0}
            show(SimpleNamespace(**{**record, **fields}), SourceText())
    head, result, other, dead = capsys.readouterr().out.splitlines()
    assert all(len(line) <= width for line in (head, result, other, dead))
    assert head.startswith("label ")
    assert result.endswith(".europe:1:2")
    assert dead.endswith("Expecting value: line 1 column 1")
