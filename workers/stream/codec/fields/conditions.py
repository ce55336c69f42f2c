"""Checks whether a record meets the conditions of its pipeline."""

import time
from codecs import BOM_UTF8
from collections.abc import Callable, Sequence
from typing import Any

from labelstream.workers.records.conditions import Condition, pattern_of
from labelstream.workers.records.places import parse_path
from labelstream.workers.settings.pipeline import PipelineSettings
from labelstream.workers.stream.codec.fields.lookup import Nothing, find
from labelstream.workers.stream.codec.fields.sparse_value import SparseValue
from labelstream.workers.stream.codec.json_values import parse_leniently

Headers = Sequence[tuple[str, bytes | None]]
Test = Callable[[bool, Any], bool]  # arguments: whether the value exists, the value


class ConditionCheck:
    """`only_if` and `max_age_s` of one pipeline."""

    def __init__(self, pipeline: PipelineSettings, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._max_age_ms = None if pipeline.max_age_s is None else pipeline.max_age_s * 1000
        conditions = pipeline.only_if
        self._headers = [(one.header, _test(one)) for one in conditions if one.header is not None]
        self._fields = [  # path, test, whether the test needs the value
            (parse_path(one.field), _test(one), one.exists is None) for one in conditions if one.field is not None
        ]
        self._max_bytes = pipeline.limits.max_message_bytes
        self.tree: Any = None  # the parsed value of the last `takes_value`, for the decoder; None if not parsed

    def reads_headers(self) -> bool:
        return bool(self._headers)

    def is_too_old(self, timestamp_ms: int) -> bool:
        """Check `max_age_s`. A record without a timestamp (-1) has no age."""
        return self._max_age_ms is not None and 0 <= timestamp_ms < self._clock() * 1000 - self._max_age_ms

    def takes(self, timestamp_ms: int, headers: Headers) -> bool:
        """Check age and headers."""
        if self.is_too_old(timestamp_ms):
            return False
        if not self._headers:
            return True
        last = dict(headers)
        return all(test(name in last, _text(last.get(name))) for name, test in self._headers)

    def takes_value(self, value: bytes) -> bool:
        """Check the fields. An oversized value passes: the decoder rejects it. Raises DecodeError for invalid JSON."""
        self.tree = None
        if not self._fields or len(value) > self._max_bytes:
            return True
        value = value.removeprefix(BOM_UTF8)
        sparse = None
        try:
            self.tree = parse_leniently(value)
        except ValueError as error:
            sparse = SparseValue(value, str(error), "only_if")
        for path, test, is_read in self._fields:
            found = find(self.tree, path) if sparse is None else (sparse.scalars if is_read else sparse.raw)(path)[0]
            if not test(type(found) is not Nothing, found):
                return False
        return True


def _test(condition: Condition) -> Test:
    (operator,) = condition.operators()
    if operator == "exists":
        return lambda there, value: there == condition.exists
    if operator == "matches":
        has_match = pattern_of(condition.matches or "").isinstance_python
        return lambda there, value: there and type(value) is str and has_match(value)
    wanted = (condition.equals,) if operator == "equals" else condition.in_
    return lambda there, value: there and any(_equal(value, one) for one in wanted)


def _equal(value: Any, wanted: Any) -> bool:
    """Compare as JSON: 1 equals 1.0, and true does not equal 1."""
    return value == wanted and (type(value) is bool) == (type(wanted) is bool)


def _text(value: bytes | None) -> str | None:
    """A header's text. None if the bytes are not UTF-8: the header meets no operator but `exists`."""
    try:
        return None if value is None else value.decode()
    except UnicodeDecodeError:
        return None
