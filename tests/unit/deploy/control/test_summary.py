"""Sums, rates and problems of a status."""

from typing import Any

from labelstream.deploy.control import summary
from tests.support.reports import board, gateway_report, model_report


def test_rates_are_differences_and_survive_a_restart() -> None:
    now = [0.0]
    view = summary.StatusView(clock=lambda: now[0])
    assert view.pipelines(board(100))[0].out_rate == 0
    now[0] = 2.0
    [seen] = view.pipelines(board(300))
    assert seen.out_rate == 200
    assert (seen.workers, seen.lag, seen.in_flight, seen.p50_ms) == (2, 6, 4, 4.0)
    now[0] = 3.0
    assert view.pipelines(board(5))[0].out_rate == 0


def test_first_rates_come_from_earlier_counters() -> None:
    before = {"age_s": 2.5, "messages_in": 100, "results_out": 50}
    [seen] = summary.StatusView().pipelines(board(300, age_s=0.5, before=before))
    assert (round(seen.in_rate), round(seen.out_rate)) == (200, 250)


def test_dead_worker_does_not_count() -> None:
    status = board(100) | {"replicas": {"pipeline-p": ["r2", "r3"]}}
    [seen] = summary.StatusView().pipelines(status)
    assert (seen.workers, seen.results, seen.lag) == (1, 200, 3)
    assert summary.alive(status, "model-m", {"r": model_report()}).keys() == {"r"}  # Serve has not told


def test_dead_gateway_replica_does_not_count_but_its_requests_do() -> None:
    reports = {name: gateway_report(requests={"v2": {"200": 2}}, in_flight=3) for name in ("g1", "g2")}
    status: Any = {"gateway": {"gateway": reports}, "replicas": {"gateway": ["g2"]}}
    seen = summary.http_view(status)
    assert seen is not None
    assert (seen.replicas, seen.in_flight, seen.requests) == (1, 3, 4)


def test_old_report_is_a_problem() -> None:
    [seen] = summary.StatusView().pipelines(board(1, age_s=summary.FRESH_S))
    assert summary.problems(seen) == []
    [seen] = summary.StatusView().pipelines(board(1, age_s=83.0))
    assert summary.problems(seen) == ["no report of worker r1 for 83 s", "no report of worker r2 for 83 s"]


def test_totals_count_workers_that_have_ended() -> None:
    ended = {"results_out": 7, "skipped_by_reason": {"only_if": 2}, "dead_letters": {"empty_text": 1}}
    status: Any = {**board(100), "replicas": {"pipeline-p": ["r2"]}, "ended": {"p": [ended]}}
    [seen] = summary.StatusView().pipelines(status)
    assert (seen.workers, seen.results, seen.skipped, seen.dead_letters) == (
        1,
        207,
        {"only_if": 2},
        {"empty_text": 3},
    )


def test_models_have_rates_of_tokens_and_padding() -> None:
    now = [0.0]
    view = summary.StatusView(clock=lambda: now[0])
    found = []
    for done, busy_s in ((0, 0.0), (50, 0.5), (50, 0.5)):
        counts = {"sequences": done, "tokens": 6 * done, "run_tokens": 6 * done, "run_slots": 8 * done}
        report = model_report(age_s=0.0, busy_s=busy_s, **counts)
        found = [*found, *view.models({"pipelines": {}, "models": {"m": {"r": report}}})]
        now[0] += 1.0
    idle = summary.ModelView("m", 1, 0.0, 0.0)
    assert found == [idle, summary.ModelView("m", 1, 50.0, 0.5, token_rate=300.0, padding=0.25), idle]


def test_rates_of_an_older_control_plane_are_zero() -> None:
    report = model_report(tokens=900, before={"age_s": 2.0, "sequences": 1, "busy_s": 0.0})
    [seen] = summary.StatusView().models({"pipelines": {}, "models": {"m": {"r": report}}})
    assert seen.token_rate == 0
