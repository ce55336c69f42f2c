"""The tables and lines of `labelstream status`."""

from collections import Counter
from io import StringIO
from typing import Any

import pytest
from rich.cells import cell_len
from rich.console import Console

from labelstream.deploy.cli.application import status_view
from tests.support.reports import gateway_report, model_report, pipeline_report


def shown(renderable: Any, width: int) -> list[str]:
    """The lines in a terminal of this width, without trailing blanks."""
    console = Console(file=StringIO(), width=width)
    console.print(renderable)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    return [line.rstrip() for line in text.splitlines()]


class TestStatus:
    @staticmethod
    def board(results: int, **more: Any) -> Any:
        stats = {
            **pipeline_report(age_s=0.0, results_out=results, messages_in=results, lag=3, in_flight=2),
            "dead_letters": {"empty_text": 1},
            "latency_ms": {"p50": 4.0, "p99": 9.0},
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

    def test_first_rates_come_from_earlier_counters(self) -> None:
        before = {"age_s": 2.5, "messages_in": 100, "results_out": 50}
        [seen] = status_view.StatusView().pipelines(self.board(300, age_s=0.5, before=before))
        assert (round(seen.in_rate), round(seen.out_rate)) == (200, 250)

    def test_dead_worker_does_not_count(self) -> None:
        board = self.board(100) | {"replicas": {"pipeline-p": ["r2", "r3"]}}
        [seen] = status_view.StatusView().pipelines(board)
        assert (seen.workers, seen.results, seen.lag) == (1, 200, 3)
        assert status_view.alive(board, "model-m", {"r": model_report()}).keys() == {"r"}  # Serve has not told

    def test_old_report_is_a_problem(self) -> None:
        [seen] = status_view.StatusView().pipelines(self.board(1, age_s=status_view.OLD_S))
        assert status_view.problems(seen) == []
        [seen] = status_view.StatusView().pipelines(self.board(1, age_s=83.0))
        assert status_view.problems(seen) == ["no report of worker r1 for 83 s", "no report of worker r2 for 83 s"]

    def test_latency_and_age_have_the_unit_that_fits(self) -> None:
        board: Any = self.board(1, latency_ms={"p50": 1_430.0, "p99": 86_400_000.0})
        backlog: Any = {"p": {"lag": 7, "oldest_s": 7_200.0, "stale": False}}
        board["scaling"] = {"backlog": backlog, "warnings": {}, "targets": {}}
        [seen] = status_view.StatusView().pipelines(board)
        assert "oldest 2 h, in flight 4, p50 1.4 s, p99 24 h" in status_view.line(seen)

    def test_lag_of_brokers_goes_before_lag_of_workers(self) -> None:
        scaling: Any = {
            "backlog": {"p": {"lag": 700, "oldest_s": 12.3, "stale": False}},
            "warnings": {"p": "partition 3"},
            "targets": {"model-m": 4},
        }
        board: Any = {**self.board(1), "models": {"m": {"r": model_report()}}, "scaling": scaling}
        [seen] = status_view.StatusView().pipelines(board)
        assert (seen.lag, seen.oldest_s, seen.alarms) == (700, 12.3, ("partition 3",))
        assert "1 replica (4 wanted)" in status_view.model_line(status_view.StatusView().models(board)[0])
        scaling["backlog"]["p"]["stale"] = True
        assert status_view.StatusView().pipelines(board)[0].lag is None, "the workers' numbers are as old"
        del board["scaling"]
        assert status_view.StatusView().pipelines(board)[0].lag == 6

    def test_totals_count_workers_that_have_ended(self) -> None:
        ended = {"results_out": 7, "skipped_by_reason": {"only_if": 2}, "dead_letters": {"empty_text": 1}}
        board: Any = {**self.board(100), "replicas": {"pipeline-p": ["r2"]}, "ended": {"p": [ended]}}
        [seen] = status_view.StatusView().pipelines(board)
        assert (seen.workers, seen.results, seen.skipped, seen.dead_letters) == (
            1,
            207,
            {"only_if": 2},
            {"empty_text": 3},
        )

    def test_unknown_lag_is_none(self) -> None:
        [seen] = status_view.StatusView().pipelines(self.board(1, state="restarting", lag=0, trouble="no connection"))
        assert seen.lag is None
        assert "lag -, oldest -, " in status_view.line(seen)
        [seen] = status_view.StatusView().pipelines({"pipelines": {"p": {}}, "models": {}})
        assert seen.lag is None

    def test_line_has_reasons_and_trouble(self) -> None:
        [seen] = status_view.StatusView().pipelines(self.board(1, state="restarting", trouble="no broker"))
        text = status_view.line(seen)
        assert "p: restarting, 2 workers" in text
        assert "dead letters 2 (empty_text 2)" in text
        assert text.endswith("; trouble: no broker")
        [seen] = status_view.StatusView().pipelines(self.board(1, alarms=["paused: 5 of 5", "stuck"]))
        assert status_view.line(seen).endswith("; alarm: paused: 5 of 5; alarm: stuck")
        assert len(status_view.cells(seen)) == len(status_view.PIPELINE_COLUMNS)

    def test_table_has_row_per_pipeline_in_wide_terminal(self) -> None:
        pipelines = status_view.StatusView().pipelines(self.board(7))
        rows = [line.split("│")[1:-1] for line in shown(status_view.Overview(pipelines), 200) if line[0] == "│"]
        assert [[cell.strip() for cell in row] for row in rows] == [list(status_view.cells(pipelines[0]))]

    def test_block_per_pipeline_in_80_columns(self) -> None:
        pipelines = status_view.StatusView().pipelines(self.board(7))
        assert shown(status_view.Overview(pipelines), 80) == [
            "p: running, 2 workers",
            "  in/s 0             out/s 0            results 14         in flight 4",
            "  lag 6              oldest -           p50 4 ms           p99 9 ms",
            "  dead letters 2 (empty_text 2)",
        ]
        [seen] = status_view.StatusView().pipelines(self.board(7, skipped_by_reason={"only_if": 2, "tombstone": 1}))
        assert "  skipped 6 (only_if 4, tombstone 2)" in shown(status_view.Overview([seen]), 80)
        assert ", skipped 6 (only_if 4, tombstone 2), dead letters 2 (" in status_view.line(seen)

    def test_problem_is_a_line_without_markup(self) -> None:
        pipelines = status_view.StatusView().pipelines(self.board(7, alarms=["stuck [red]\x1b[31m"]))
        [line] = status_view.problem_lines(pipelines)
        assert line.plain == "p: alarm: stuck [red]\\x1b[31m"

    @pytest.mark.parametrize("width", [10, 20, 40, 80, 132, 200, 500])
    def test_nothing_is_cut_in_any_terminal(self, width: int) -> None:
        pipelines = [
            status_view.PipelineView(
                name=name,
                workers=128,
                state="100 running, 27 restarting, 1 stopped with messages in flight",
                in_rate=1_234_567,
                out_rate=1_234_568,
                results=123_456_789_012_345,
                skipped=Counter({"only_if": 10**9, "empty_text": 7}),
                dead_letters=Counter({f"reason_number_{number}": 10**9 + number for number in range(9)}),
                lag=987_654_321_098,
                oldest_s=31_536_000,
                in_flight=65_536,
                p50_ms=1_234_569,
                p99_ms=1_234_570,
                silent=("abcdefgh for 12 s",),
                troubles=("no-broker-" * 12,),
                alarms=("paused: the model fails 512 of the next 512 messages (inference_failed 512)",),
            )
            for name in ("feedback-" * 5 + "north", "logs")
        ]
        parts = [status_view.Overview(pipelines), *status_view.problem_lines(pipelines)]
        text = "\n".join(line for part in parts for line in shown(part, width))
        assert "…" not in text
        assert all(cell_len(line) <= width for line in text.splitlines())
        whole = "".join(text.split())  # again, where a line has ended
        for pipeline in pipelines:
            for cell in (*status_view.cells(pipeline), *status_view.problems(pipeline)):
                assert "".join(cell.split()) in whole

    def test_models(self) -> None:
        now = [0.0]
        view = status_view.StatusView(clock=lambda: now[0])
        for sequences, busy_s in ((0, 0.0), (50, 0.5)):
            report = model_report(age_s=0.0, sequences=sequences, busy_s=busy_s)
            found = view.models({"pipelines": {}, "models": {"m": {"r": report}}})
            now[0] += 1.0
        assert found == [status_view.ModelView("m", 1, 50.0, 0.5)]


def test_gateway_is_one_line_with_its_failures() -> None:
    report = gateway_report(requests={"azure": {"200": 5, "429": 2}, "v2": {"503": 1}}, in_flight=3)
    status: Any = {"pipelines": {}, "models": {}, "gateway": {"gateway": {"g1": report}}}

    assert status_view.http_lines(status) == [
        "http: 1 gateway replica, 8 requests, 3 in flight, 2 refused with 429, 1 failed with 5xx"
    ]


def test_application_without_http_has_no_gateway_line() -> None:
    assert status_view.http_lines({"pipelines": {}, "models": {}}) == []
