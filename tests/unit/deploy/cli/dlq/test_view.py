"""`labelstream dlq`: its options, and what it shows of a letter."""

import base64
import json
from collections.abc import Callable
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labelstream.deploy.cli.common.console import escape
from labelstream.deploy.cli.dlq.options import moment, place
from labelstream.deploy.cli.dlq.view import as_entry, as_export, as_row, in_full
from labelstream.workers.errors import ConfigError
from labelstream.workers.stream.dlq.dead_letters import DeadLetter
from labelstream.workers.stream.record_batch.unread import header_name
from tests.unit.deploy.cli.conftest import Run, fails

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
BYTES = st.one_of(st.none(), st.binary(max_size=30))
NAMES = st.one_of(
    st.text(max_size=8),
    st.binary(max_size=8).map(header_name),
    st.sampled_from(["labelstream.reason", "__connect.errors.topic"]),
)


def milliseconds(*parts: int) -> int:
    return int(datetime(*parts, tzinfo=UTC).timestamp() * 1000)  # type: ignore[misc,arg-type]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2h", milliseconds(2026, 11, 21, 10)),
        ("90s", milliseconds(2026, 11, 21, 11, 58, 30)),
        ("1w", milliseconds(2026, 11, 14, 12)),
        ("2026-11-21", milliseconds(2026, 11, 21)),
        ("2026-11-21T08:30", milliseconds(2026, 11, 21, 8, 30)),
        ("2026-11-21T08:30Z", milliseconds(2026, 11, 21, 8, 30)),
        ("2026-11-21T08:30+02:00", milliseconds(2026, 11, 21, 6, 30)),
        ("1960-01-01", 0),
    ],
)
def test_times(text: str, expected: int) -> None:
    assert moment("--since", text, NOW) == expected


@pytest.mark.parametrize("text", ["", "soon", "2", "h", "-2h", "999999999w", "2026-13-01", "2 hours"])
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(ConfigError, match=r"^--since: .* is no time; for example"):
        moment("--since", text, NOW)


def test_places() -> None:
    assert place("--at", "3:4711") == (3, 4711)
    for wrong in ("", "3", "3:", ":4", "3:-4", "a:b", "3:4:5", "3:" + "9" * 30):
        with pytest.raises(ConfigError, match=r"^--at: .* is not PARTITION:OFFSET"):
            place("--at", wrong)


@given(BYTES, BYTES, st.lists(st.tuples(NAMES, BYTES)), st.integers(-(2**63), 2**63 - 1))
def test_whatever_a_letter_holds_it_is_shown_safely(key: Any, value: Any, headers: Any, timestamp: int) -> None:
    record: Any = SimpleNamespace(
        topic="dlq", partition=0, offset=3, timestamp=timestamp, key=key, value=value, headers=headers
    )
    letter = DeadLetter.of(record)
    for line in ("\t".join(as_row(letter, redriven=True)).replace("\t", " "), *in_full(letter, redriven=False)):
        assert line == escape(line)
    assert json.loads(json.dumps(as_entry(letter, redriven=True)))["redriven"] is True
    back = json.loads(as_export(letter))
    assert [original(back["key"]), original(back["value"])] == [key, value]
    named = [(name.encode(), content) for name, content in headers]
    assert [(original(name), original(content)) for name, content in back["headers"]] == named


def original(exported: Any) -> bytes | None:
    if isinstance(exported, dict):
        return base64.b64decode(exported["base64"])
    return None if exported is None else exported.encode()


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (("list", "other"), "PIPELINE: the config has no pipeline 'other'; it has feedback"),
        (("list", "--reason", "bad"), "--reason: there is no reason 'bad'; known: invalid_encoding, "),
        (("list", "--since", "soon"), "--since: 'soon' is no time"),
        (("show", "7"), "PARTITION:OFFSET: '7' is not PARTITION:OFFSET"),
        (("redrive", "--to", "dlq"), "--to: is the dead-letter topic itself"),
        (("redrive", "--to", "dlq.redriven"), "--to: is the ledger of redrives"),
        (("redrive", "--to", "in/put"), "--to: 'in/put' is no topic's name"),
        (("redrive",), "--yes: is missing, and there is no terminal to ask on"),
    ],
)
def test_wrong_options(run: Run, write_config: Callable[..., str], stdin: Any, arguments: Any, part: str) -> None:
    stdin(b"")
    fails(run("dlq", *arguments, "-c", write_config()), 2, part)


def test_the_pipeline_must_be_named_where_there_are_two(run: Run, write_config: Callable[..., str]) -> None:
    two = "model: sentiment}\n  more: {input: in2, output: out2, dead_letter: dlq2, model: sentiment}"
    fails(run("dlq", "list", "-c", write_config("model: sentiment}", two)), 2, "PIPELINE: is missing", "feedback, more")
