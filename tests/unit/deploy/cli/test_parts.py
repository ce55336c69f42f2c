"""The parts of the commands that need neither a broker nor a terminal."""

import json
import time
from collections import Counter
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from labelstream.deploy.cli.application import status_view
from labelstream.deploy.cli.common.console import escape, escape_bytes
from labelstream.deploy.cli.demo.accounting import Accounting
from labelstream.deploy.cli.demo.stream import Feedback
from labelstream.deploy.cli.demo.view import Rate, accuracy, summary
from labelstream.deploy.cli.topics.line_format import KeyedValue, LineError, LineFormat, LineReader
from labelstream.deploy.cli.topics.record_view import as_json_line, as_row, columns_of
from labelstream.workers.errors import StartError


def record(value: bytes | None, headers: Any = (), key: bytes | None = None) -> Any:
    return SimpleNamespace(value=value, headers=headers, key=key, topic="t", partition=1, offset=7)


class TestLines:
    def test_objects_go_as_they_are_and_other_lines_are_wrapped(self) -> None:
        lines = [b'{"text": "a",  "id": 1}\r\n', b"\n", b'plain \xc3\xa4 "q"\n', b"[1]\n", b'{"cut": \n', b"last"]
        values = [value for _, value in LineReader().read(lines)]
        assert values[0] == b'{"text": "a",  "id": 1}'
        assert [json.loads(value)["text"] for value in values[1:]] == ['plain ä "q"', "[1]", '{"cut": ', "last"]

    def test_a_byte_order_mark_at_the_start_is_left_out(self) -> None:
        mark, lines = b"\xef\xbb\xbf", [b'{"text": "a"}\r\n', b"plain\n"]
        for first in (mark + lines[0], lines[0]):
            assert list(LineReader().read([first, lines[1]])) == list(LineReader().read(lines))
        assert list(LineReader().read([mark + b"\n", *lines])) == list(LineReader().read(lines))
        assert next(LineReader(key_separator="\t").read([mark + b"k\ta"])).key == b"k"
        assert list(LineReader(raw=True).read([mark + b"a"])) == [KeyedValue(None, mark + b"a")]

    def test_text_wraps_objects_too(self) -> None:
        [(_, value)] = LineReader(LineFormat.TEXT).read([b'{"a": 1}\n'])
        assert json.loads(value) == {"text": '{"a": 1}'}

    @given(st.lists(st.binary().filter(lambda value: b"\n" not in value)))
    def test_raw_changes_nothing(self, values: list[bytes]) -> None:
        read = LineReader(raw=True).read([value + b"\n" for value in values])
        assert list(read) == [KeyedValue(None, value) for value in values]

    def test_keys(self) -> None:
        reader = LineReader(key_field="user")
        assert next(reader.read([b'{"user": "u1", "text": "a"}'])).key == b"u1"
        assert next(reader.read([b'{"user": 5, "text": "a"}'])).key == b"5"
        separated = LineReader(raw=True, key_separator="\t").read([b"k\ta\tb\n"])
        assert list(separated) == [KeyedValue(b"k", b"a\tb")]

    @pytest.mark.parametrize(
        ("reader", "line"),
        [
            (LineReader(LineFormat.JSON), b"secret text"),
            (LineReader(LineFormat.JSON), b'"secret text"'),
            (LineReader(), b"secret text\xff"),
            (LineReader(key_field="user"), b'{"text": "secret text"}'),
            (LineReader(key_field="user"), b"secret text"),
            (LineReader(key_separator="\t"), b"secret text"),
        ],
    )
    def test_what_cannot_be_sent_is_named_by_its_line(self, reader: LineReader, line: bytes) -> None:
        with pytest.raises(LineError, match=r"^line 2: ") as raised:
            list(reader.read([b"\n", line]))
        assert "secret" not in str(raised.value)


class TestRecords:
    RESULT: dict[str, Any] = {  # noqa: RUF012
        "label": "GOOD",
        "score": 0.91234,
        "id": "a\x1b[2J",
        "tokens": 9,
        "truncated": True,
        "model": "m",
        "source": {"topic": "in", "partition": 2, "offset": 40},
    }

    def test_a_result(self) -> None:
        row = as_row(record(json.dumps(self.RESULT).encode()))
        assert row == ("GOOD", "0.9123", "a\\x1b[2J", "9+", "m", "in:2:40")

    def test_results_of_other_tasks(self) -> None:
        shared = {name: self.RESULT[name] for name in ("tokens", "truncated", "model", "source")}
        fills = [
            [{"token": token, "token_id": 7, "score": 0.5}, {"token": "no", "token_id": 8, "score": 0.25}]
            for token in ("yes", "##\x1b")
        ]
        row = as_row(record(json.dumps({**shared, "masks": fills}).encode()))
        assert row[:3] == ("yes, ##\\x1b", "0.5000", "-")
        row = as_row(record(json.dumps({**shared, "embedding": [0.5, 1.5]}).encode()))
        assert row[:3] == ("(2 numbers)", "-", "-")
        for broken in ({"masks": [3]}, {"masks": [[]]}, {"masks": 3}, {"embedding": 3}, {"masks": [[3]]}):
            assert as_row(record(json.dumps({**shared, **broken}).encode()))[0] == "-"

    def test_a_dead_letter_with_its_reason(self) -> None:
        headers = [
            ("labelstream.reason", b"invalid_json"),
            ("labelstream.model", b""),
            ("__connect.errors.topic", b"in"),
            ("__connect.errors.partition", b"0"),
            ("__connect.errors.offset", b"3"),
            ("__connect.errors.exception.message", b"cut\x07 off"),
        ]
        row = as_row(record(b"\xff{", headers))
        assert row == ("! invalid_json", "-", "-", "-", "-", "in:0:3 cut\\x07 off")

    @given(st.one_of(st.none(), st.binary()), st.lists(st.tuples(st.text(), st.one_of(st.none(), st.binary()))))
    def test_whatever_it_holds_it_is_shown_on_one_line(self, value: bytes | None, headers: Any) -> None:
        for found in (headers, [*headers, ("labelstream.reason", value)]):
            shown = columns_of(as_row(record(value, found, value)))
            assert shown.isprintable() or shown == escape(shown)
            assert "\n" not in shown
            shown.encode()
        assert b"\n" not in as_json_line(record(value))

    def test_json_lines(self) -> None:
        assert as_json_line(record(b'{"a":  1}')) == b'{"a":  1}'
        assert as_json_line(record(b"\xff")) == b"\xff"
        assert json.loads(as_json_line(record(b'{"a":\n1}'))) == {"a": 1}
        assert json.loads(as_json_line(record(b"not\njson\xff"))) == "not\njson\\xff"
        assert as_json_line(record(None)) == b""

    def test_escapes(self) -> None:
        assert escape("a\u202eb\x9b\n\ud800é😀") == "a\\u202eb\\x9b\\n\\ud800é😀"
        assert escape_bytes(b"\xffa\x00") == "\\xffa\\x00"


class TestLedger:
    def test_every_message_is_counted_once(self) -> None:
        ledger = Accounting()
        assert ledger.claim(window=3, most=10, timeout_s=0) == 3
        assert ledger.claim(window=3, most=10, timeout_s=0) == 0
        for partition, offset in ((0, 0), (1, 0), (0, 1)):
            ledger.sent(partition, offset)
        assert ledger.result(0, 1, latency_ms=5)
        assert ledger.dead_letter(1, 0, "empty_text")
        assert not ledger.result(0, 1, latency_ms=6)
        assert ledger.claim(window=3, most=1, timeout_s=0) == 1
        totals = ledger.totals()
        assert (totals.sent, totals.results, totals.duplicates, totals.missing) == (3, 1, 1, 1)
        assert (totals.accounted, totals.unexpected, totals.p50_ms) == (2, 0, 5)
        assert totals.dead_letters == Counter(empty_text=1)
        ledger.result(0, 0, 1)
        ledger.result(5, 0, 1)
        assert (ledger.totals().missing, ledger.totals().unexpected) == (0, 1)

    @given(st.sets(st.integers(0, 40)), st.lists(st.integers(0, 40)))
    def test_against_plain_sets(self, sent: set[int], answered: list[int]) -> None:
        ledger = Accounting()
        for offset in sent:
            ledger.sent(0, offset)
        for offset in answered:
            ledger.result(0, offset, 1)
        totals = ledger.totals()
        assert totals.missing == len(sent - set(answered))
        assert totals.unexpected == len(set(answered) - sent)
        assert totals.duplicates == len(answered) - len(set(answered))
        assert totals.accounted == len(sent & set(answered))

    def test_the_first_failure_is_kept(self) -> None:
        ledger = Accounting()
        ledger.raise_failure()
        ledger.fail(ValueError("first"))
        ledger.fail(ValueError("second"))
        with pytest.raises(ValueError, match="first"):
            ledger.raise_failure()

    def test_many_messages_stay_cheap(self) -> None:
        ledger, started = Accounting(), time.monotonic()
        for offset in range(20_000):
            ledger.sent(0, offset)
            ledger.result(0, offset, 1)
        for _ in range(100):
            ledger.totals()
        assert time.monotonic() - started < 5

    def test_the_summary_says_what_is_missing(self) -> None:
        ledger = Accounting()
        ledger.sent(0, 0)
        text = "\n".join(summary(ledger.totals(), 2.0, [("Ray", 3.0)], "owner/model"))
        assert "of 1 messages 1 did not come back" in text
        assert "Ray 3.0 s" in text
        assert accuracy("owner/model") == "owner/model (no accuracy was measured here)"


class TestFeedback:
    def test_rounds_get_fresh_ids_and_change_nothing_else(self, tmp_path: Path) -> None:
        lines = [b'{"id": "a-1", "text": "one"}', b"no JSON", b'{"text": "x \\ud800", "id": "a-2", "id": "b"}']
        (tmp_path / "lines").write_bytes(b"\n".join(lines) + b"\n")
        feedback = Feedback(tmp_path / "lines")
        assert [feedback.message(index) for index in range(3)] == lines
        assert feedback.message(3) == b'{"id": "a-1#2", "text": "one"}'
        assert feedback.message(7) == b"no JSON"
        assert feedback.message(8) == b'{"text": "x \\ud800", "id": "a-2#3", "id": "b"}'
        assert (feedback.text("a-1"), feedback.text("a-1#2"), feedback.text("other")) == ("one", "one", "")

    def test_what_is_shipped(self) -> None:
        feedback = Feedback()
        assert all(feedback.message(index) for index in range(500))
        assert "".join(feedback.text(f"fb-{number}") for number in range(1000, 1100)).isprintable()

    def test_a_missing_file_says_so(self, tmp_path: Path) -> None:
        with pytest.raises(StartError, match="install again"):
            Feedback(tmp_path / "none")


class TestStatus:
    @staticmethod
    def board(results: int, **more: Any) -> dict[str, Any]:
        stats = {
            "age_s": 0.0,
            "state": "running",
            "results_out": results,
            "messages_in": results,
            "lag": 3,
            "in_flight": 2,
            "dead_letters": {"empty_text": 1},
            "latency_ms": {"p50": 4.0, "p99": 9.0},
            "trouble": None,
            **more,
        }
        return {"pipelines": {"p": {"r1": stats, "r2": {**stats, "latency_ms": {}}}}, "models": {}}

    def test_rates_are_differences_and_survive_a_restart(self) -> None:
        now = [0.0]
        view = status_view.StatusView(clock=lambda: now[0])
        assert view.pipelines(self.board(100))[0].out_rate == 0
        now[0] = 2.0
        [seen] = view.pipelines(self.board(300))
        assert seen.out_rate == 200
        assert (seen.workers, seen.lag, seen.in_flight, seen.p50_ms) == (2, 6, 4, 4.0)
        now[0] = 3.0
        assert view.pipelines(self.board(5))[0].out_rate == 0

    def test_the_brokers_know_the_lag_better(self) -> None:
        scaling = {
            "backlog": {"p": {"lag": 700, "oldest_s": 12.3, "stale": False}},
            "warnings": {"p": "partition 3"},
            "targets": {"model-m": 4},
        }
        board = {**self.board(1), "models": {"m": {"r": {}}}, "scaling": scaling}
        [seen] = status_view.StatusView().pipelines(board)
        assert (seen.lag, seen.oldest_s, seen.alarms) == (700, 12.3, ("partition 3",))
        assert "1 replica (4 wanted)" in status_view.model_line(status_view.StatusView().models(board)[0])
        scaling["backlog"]["p"]["stale"] = True
        assert status_view.StatusView().pipelines(board)[0].lag == 6

    def test_a_lag_that_nobody_knows_is_not_0(self) -> None:
        [seen] = status_view.StatusView().pipelines(self.board(1, state="restarting", lag=0, trouble="no connection"))
        assert seen.lag is None
        assert "lag -, oldest - s" in status_view.line(seen)
        [seen] = status_view.StatusView().pipelines({"pipelines": {"p": {}}, "models": {}})
        assert seen.lag is None

    def test_one_line_with_reasons_and_trouble(self) -> None:
        [seen] = status_view.StatusView().pipelines(self.board(1, state="restarting", trouble="no broker"))
        text = status_view.line(seen)
        assert "p: restarting, 2 workers" in text
        assert "dead letters 2 (empty_text 2)" in text
        assert text.endswith("; trouble: no broker")
        [seen] = status_view.StatusView().pipelines(self.board(1, alarms=["paused: 5 of 5", "stuck"]))
        assert status_view.line(seen).endswith("; alarm: paused: 5 of 5; alarm: stuck")
        assert len(status_view.cells(seen)) == len(status_view.PIPELINE_COLUMNS)

    def test_a_table_has_a_row_for_each_pipeline_and_its_problems_if_asked_for(self) -> None:
        pipelines = status_view.StatusView().pipelines(self.board(7, alarms=["stuck [red]\x1b[31m"]))

        def rows(with_problems: bool) -> list[list[str]]:
            console = Console(file=StringIO(), width=200)
            console.print(status_view.table(pipelines, with_problems))
            text = console.file.getvalue()  # type: ignore[attr-defined]
            return [[cell.strip() for cell in line.split("│")[1:-1]] for line in text.splitlines() if line[0] == "│"]

        assert rows(False) == [list(status_view.cells(pipelines[0]))]
        assert rows(True) == [*rows(False), ["", "", "alarm: stuck [red]\\x1b[31m", *[""] * 9]]

    def test_models(self) -> None:
        now = [0.0]
        view = status_view.StatusView(clock=lambda: now[0])
        for sequences, busy_s in ((0, 0.0), (50, 0.5)):
            found = view.models({"models": {"m": {"r": {"sequences": sequences, "busy_s": busy_s}}}})
            now[0] += 1.0
        assert found == [status_view.ModelView("m", 1, 50.0, 0.5)]


def test_the_rate_forgets() -> None:
    now = [0.0]
    rate, seen = Rate(span_s=5.0, clock=lambda: now[0]), []
    for second in range(1, 21):
        now[0] = float(second)
        seen.append(rate.at(100 * min(second, 10)))
    assert seen[-1] == 0
