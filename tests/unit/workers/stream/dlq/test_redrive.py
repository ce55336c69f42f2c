"""Which dead letters are sent, in which chunks, and what the ledger remembers of them."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labelstream.workers.errors import StreamError
from labelstream.workers.stream.dlq import redrive as redrive_
from labelstream.workers.stream.dlq.dead_letters import DeadLetter
from labelstream.workers.stream.dlq.ledger import RedriveLedger
from labelstream.workers.stream.dlq.redrive import Refusal, Report, Target, Targets, redrive
from tests.support.dead_letters import ledger_of, letter

TARGET = Targets({"in": Target("in", 2, 10_000)})
ANYWHERE = Targets({}, Target("in", 2, 10_000))


class Lost:
    """No source topic holds anything any more."""

    def find(self, _: DeadLetter) -> None:
        return None


def run(
    letters: Any, ledger: RedriveLedger, target: Targets = TARGET, limit: int | None = None
) -> tuple[Report, list[Any]]:
    report, chunks = Report(), []
    redrive(letters, target, ledger, Lost(), chunks.append, report, limit)  # type: ignore[arg-type]
    return report, chunks


@given(st.lists(st.integers(0, 200), max_size=60), st.sets(st.integers(0, 200)), st.integers(1, 80), st.integers(1, 9))
def test_against_plain_sets(offsets: list[int], done: set[int], limit: int, chunk: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(redrive_, "CHUNK_LETTERS", chunk)
        report, chunks = run(map(letter, offsets), ledger_of(*map(letter, done)), limit=limit)
    expected = [offset for offset in offsets if offset not in done][:limit]
    assert [one.letter.offset for chunk in chunks for one in chunk] == expected
    assert report.sent == len(expected)
    assert all(0 < len(found) <= chunk for found in chunks)


def test_refusals() -> None:
    letters = [
        letter(0),
        letter(1, topic="there"),
        letter(2, b"", value_omitted=b"bytes=9;sha256=0"),
        letter(3, b"x" * 10_000),
        letter(4),
        letter(5, b"", value_omitted=b"unread"),
    ]
    report, [[sent]] = run(letters, ledger_of(letters[0]))
    assert (sent.letter.offset, sent.to) == (4, "in")
    assert report.refused == {
        Refusal.ALREADY: 1,
        Refusal.ELSEWHERE: 1,
        Refusal.GONE: 1,
        Refusal.UNREAD: 1,
        Refusal.TOO_LARGE: 1,
    }
    assert report.examples[Refusal.ELSEWHERE] == [(0, 1)]
    assert run(letters, RedriveLedger(), ANYWHERE)[0].sent == 3


def test_the_partition_is_the_old_one_where_the_topic_is() -> None:
    letters = [letter(0), letter(1, partition=2), letter(2, topic="there")]
    _, [sent] = run(letters, RedriveLedger(), ANYWHERE)
    assert [one.record.partition for one in sent] == [1, None, None]


def test_letters_of_several_topics_go_back_to_each() -> None:
    both = Targets({"in": Target("in", 2, 10_000), "there": Target("there", 1, 20_000)})
    _, [sent] = run([letter(0), letter(1, topic="there")], RedriveLedger(), both)
    assert [(one.to, one.record.partition) for one in sent] == [("in", 1), ("there", None)]
    assert both.max_bytes == 20_000


def test_large_letters_make_short_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redrive_, "CHUNK_BYTES", 3_000)
    _, chunks = run([letter(n, b"x" * 1_000) for n in range(7)], RedriveLedger())
    assert [len(pairs) for pairs in chunks] == [3, 3, 1]


def test_what_is_not_committed_is_not_counted() -> None:
    def fail(_: Any) -> None:
        raise StreamError("no")

    report = Report()
    with pytest.raises(StreamError):
        redrive([letter(0)], TARGET, RedriveLedger(), Lost(), fail, report, None)  # type: ignore[arg-type]
    assert report.sent == 0
