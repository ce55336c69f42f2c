"""The tables and lines of `labelstream status`."""

from collections import Counter
from io import StringIO
from typing import Any

import pytest
from rich.cells import cell_len
from rich.console import Console

from labelstream.deploy.cli.application import status_view
from labelstream.deploy.control.summary import PipelineView, StatusView, problems
from tests.support.reports import board, gateway_report, model_report


def shown(renderable: Any, width: int) -> list[str]:
    """The lines in a terminal of this width, without trailing blanks."""
    console = Console(file=StringIO(), width=width)
    console.print(renderable)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    return [line.rstrip() for line in text.splitlines()]


def test_latency_and_age_have_the_unit_that_fits() -> None:
    status: Any = board(1, latency_ms={"p50": 1_430.0, "p99": 86_400_000.0})
    backlog: Any = {"p": {"lag": 7, "oldest_s": 7_200.0, "stale": False}}
    status["scaling"] = {"backlog": backlog, "warnings": {}, "targets": {}}
    [seen] = StatusView().pipelines(status)
    assert "oldest 2 h, in flight 4, p50 1.4 s, p99 24 h" in status_view.line(seen)


def test_lag_of_brokers_goes_before_lag_of_workers() -> None:
    scaling: Any = {
        "backlog": {"p": {"lag": 700, "oldest_s": 12.3, "stale": False}},
        "warnings": {"p": "partition 3"},
        "targets": {"model-m": 4},
    }
    status: Any = {**board(1), "models": {"m": {"r": model_report()}}, "scaling": scaling}
    [seen] = StatusView().pipelines(status)
    assert (seen.lag, seen.oldest_s, seen.alarms) == (700, 12.3, ("partition 3",))
    assert "1 replica (4 wanted)" in status_view.model_line(StatusView().models(status)[0])
    scaling["backlog"]["p"]["stale"] = True
    assert StatusView().pipelines(status)[0].lag is None, "the workers' numbers are as old"
    del status["scaling"]
    assert StatusView().pipelines(status)[0].lag == 6


def test_unknown_lag_is_none() -> None:
    [seen] = StatusView().pipelines(board(1, state="restarting", lag=0, trouble="no connection"))
    assert seen.lag is None
    assert "lag -, oldest -, " in status_view.line(seen)
    [seen] = StatusView().pipelines({"pipelines": {"p": {}}, "models": {}})
    assert seen.lag is None


def test_line_has_reasons_and_trouble() -> None:
    [seen] = StatusView().pipelines(board(1, state="restarting", trouble="no broker"))
    text = status_view.line(seen)
    assert "p: restarting, 2 workers" in text
    assert "dead letters 2 (empty_text 2)" in text
    assert text.endswith("; trouble: no broker")
    [seen] = StatusView().pipelines(board(1, alarms=["paused: 5 of 5", "stuck"]))
    assert status_view.line(seen).endswith("; alarm: paused: 5 of 5; alarm: stuck")
    assert len(status_view.cells(seen)) == len(status_view.PIPELINE_COLUMNS)


def test_table_has_row_per_pipeline_in_wide_terminal() -> None:
    pipelines = StatusView().pipelines(board(7))
    rows = [line.split("│")[1:-1] for line in shown(status_view.Overview(pipelines), 200) if line[0] == "│"]
    assert [[cell.strip() for cell in row] for row in rows] == [list(status_view.cells(pipelines[0]))]


def test_block_per_pipeline_in_80_columns() -> None:
    pipelines = StatusView().pipelines(board(7))
    assert shown(status_view.Overview(pipelines), 80) == [
        "p: running, 2 workers",
        "  in/s 0             out/s 0            results 14         in flight 4",
        "  lag 6              oldest -           p50 4 ms           p99 9 ms",
        "  dead letters 2 (empty_text 2)",
    ]
    [seen] = StatusView().pipelines(board(7, skipped_by_reason={"only_if": 2, "tombstone": 1}))
    assert "  skipped 6 (only_if 4, tombstone 2)" in shown(status_view.Overview([seen]), 80)
    assert ", skipped 6 (only_if 4, tombstone 2), dead letters 2 (" in status_view.line(seen)


def test_problem_is_a_line_without_markup() -> None:
    pipelines = StatusView().pipelines(board(7, alarms=["stuck [red]\x1b[31m"]))
    [line] = status_view.problem_lines(pipelines)
    assert line.plain == "p: alarm: stuck [red]\\x1b[31m"


@pytest.mark.parametrize("width", [10, 20, 40, 80, 132, 200, 500])
def test_nothing_is_cut_in_any_terminal(width: int) -> None:
    pipelines = [
        PipelineView(
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
        for cell in (*status_view.cells(pipeline), *problems(pipeline)):
            assert "".join(cell.split()) in whole


def test_gateway_is_one_line_with_its_failures() -> None:
    report = gateway_report(requests={"azure": {"200": 5, "429": 2}, "v2": {"503": 1}}, in_flight=3)
    status: Any = {"pipelines": {}, "models": {}, "gateway": {"gateway": {"g1": report}}}

    assert status_view.http_lines(status) == [
        "http: 1 gateway replica, 8 requests, 3 in flight, 2 refused with 429, 1 failed with 5xx"
    ]


def test_application_without_http_has_no_gateway_line() -> None:
    assert status_view.http_lines({"pipelines": {}, "models": {}}) == []
