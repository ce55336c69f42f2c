"""The tables and lines of `labelstream status`."""

from io import StringIO
from typing import Any

from rich.console import Console

from labelstream.deploy.cli.application import status_view
from tests.support.reports import model_report, pipeline_report


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

    def test_the_brokers_know_the_lag_better(self) -> None:
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

    def test_table_has_row_per_pipeline_and_optional_problems(self) -> None:
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
            report = model_report(age_s=0.0, sequences=sequences, busy_s=busy_s)
            found = view.models({"pipelines": {}, "models": {"m": {"r": report}}})
            now[0] += 1.0
        assert found == [status_view.ModelView("m", 1, 50.0, 0.5)]
