"""Views of dead letters with any content."""

import base64
import json
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labelstream.deploy.cli.common.console import escape
from labelstream.deploy.cli.dlq.view import COLUMNS, as_entry, as_export, as_row, fitted, in_full
from labelstream.workers.stream.dlq.dead_letters import DeadLetter
from labelstream.workers.stream.record_batch.unread import header_name

BYTES = st.one_of(st.none(), st.binary(max_size=30))
NAMES = st.one_of(
    st.text(max_size=8),
    st.binary(max_size=8).map(header_name),
    st.sampled_from(["labelstream.reason", "__connect.errors.topic"]),
)


@given(BYTES, BYTES, st.lists(st.tuples(NAMES, BYTES)), st.integers(-(2**63), 2**63 - 1))
def test_any_letter_is_shown_safely(key: Any, value: Any, headers: Any, timestamp: int) -> None:
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


@pytest.mark.parametrize("width", [80, 107, 108, 200])
def test_list_never_wraps_and_keeps_the_offset(width: int) -> None:
    source = "customer.feedback.of.all.shops.in.europe:12:3456789"
    row = (
        "11:123456",
        "2026-11-28T10:44:36Z",
        "unsupported_encoding",
        source[-32:] if width >= 108 else source,
        "1",
        "no",
    )
    head, line = fitted(COLUMNS, width), fitted(row, width)
    assert max(len(head), len(line)) <= width
    assert line.startswith("11:123456 ")
    assert "11-28T10:44" in line
    assert "12:3456789" in line
    assert head.split() == list(COLUMNS)
