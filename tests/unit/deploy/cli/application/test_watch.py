"""When a pipeline's line is logged, and when a run ends because its application is gone."""

from pathlib import Path
from typing import Any

import pytest

from labelstream.deploy.cli.application import watch as watch_module
from labelstream.deploy.cli.application.watch import FIRST_REPORT_S, RATES_EVERY_S, REPEAT_S, News, NotOurs, Watch
from labelstream.deploy.control.deployed import changed, new_owner
from labelstream.workers.errors import StartError
from tests.support.clock import Clock
from tests.support.reports import pipeline_report

OWNER = new_owner("run", Path("a.yaml"), False)


def status_of(**changes: Any) -> Any:
    return {"pipelines": {"p": {"r1": pipeline_report(**{"age_s": 0.0, **changes})}}, "models": {}}


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def news(clock: Clock) -> News:
    """News after the first line."""
    news = News(clock)
    assert len(news.lines(status_of())) == 1
    return news


def test_worker_without_report_is_not_logged(clock: Clock) -> None:
    news, none = News(clock), {"pipelines": {"p": {}}, "models": {}}
    status: Any = none
    assert news.lines(status) == []
    clock.now += FIRST_REPORT_S - 1
    assert news.lines(status) == []
    clock.now += 1
    assert len(news.lines(status)) == 1
    assert len(News(clock).lines(status_of())) == 1


def test_unchanged_pipeline_is_logged_once_a_minute(news: News, clock: Clock) -> None:
    said = []
    for _ in range(65):
        clock.now += 2.0
        said += [clock.now] * len(news.lines(status_of()))
    assert said == [1_000 + REPEAT_S, 1_000 + 2 * REPEAT_S]


@pytest.mark.parametrize(
    "change",
    [{"state": "restarting"}, {"alarms": ["paused"]}, {"trouble": "no broker"}, {"dead_letters": {"empty_text": 1}}],
    ids=str,
)
def test_new_state_alarm_or_reason_is_logged_at_once(news: News, clock: Clock, change: dict[str, Any]) -> None:
    clock.now += 2.0
    assert len(news.lines(status_of(**change))) == 1
    assert news.lines(status_of(**change)) == []


def test_changed_number_in_alarm_is_not_logged(news: News, clock: Clock) -> None:
    news.lines(status_of(alarms=["no progress for 300 s"]))
    clock.now += 2.0
    assert news.lines(status_of(alarms=["no progress for 302.5 s"])) == []


def counted(news: News, clock: Clock, per_s: list[float], field: str = "messages_in") -> list[bool]:
    """For each rate: was a line logged after ten seconds at so many messages a second?"""
    total, lines = 0.0, []
    for rate in per_s:
        clock.now += RATES_EVERY_S
        total += rate * RATES_EVERY_S
        lines.append(bool(news.lines(status_of(**{field: int(total)}))))
    return lines


@pytest.mark.parametrize("field", ["messages_in", "results_out"])
def test_doubled_or_halved_throughput_is_logged(news: News, clock: Clock, field: str) -> None:
    assert counted(news, clock, [10, 15, 19, 20, 11, 10, 0], field) == [True, False, False, True, False, True, True]


def test_rates_below_one_a_second_are_not_logged(news: News, clock: Clock) -> None:
    assert counted(news, clock, [0.5, 0.0, 1.0, 0.1]) == [False] * 4


def test_throughput_is_not_judged_before_ten_seconds(news: News, clock: Clock) -> None:
    clock.now += 2.0
    assert news.lines(status_of(messages_in=1_000)) == []


def test_doubled_dead_letters_are_logged(news: News, clock: Clock) -> None:
    news.lines(status_of(dead_letters={"empty_text": 10}))
    lines = []
    for count in (15, 20):
        clock.now += RATES_EVERY_S
        lines.append(bool(news.lines(status_of(dead_letters={"empty_text": count}))))
    assert lines == [False, True]


class ControlClient:
    """The answers in turn, the last one for ever; an exception is raised."""

    class NoApplication(StartError): ...

    def __init__(self, *answers: Any) -> None:
        self._answers = list(answers)

    def status(self, timeout_s: float) -> Any:
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, BaseException):
            raise answer
        return answer


@pytest.fixture(autouse=True)
def _no_sleep(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch_module.time, "sleep", lambda _: None)


def ends(*answers: Any) -> str:
    with pytest.raises(NotOurs) as end:
        Watch(ControlClient({**status_of(), "owner": OWNER}, *answers), OWNER).show()
    return str(end.value)


def test_watch_waits_for_restarted_control_plane() -> None:
    assert "removed" in ends(StartError("away"), {**status_of(), "owner": OWNER}, ControlClient.NoApplication("gone"))


def test_run_ends_when_its_application_is_removed() -> None:
    assert ends(ControlClient.NoApplication("gone")) == "this run ends: its application was removed"


def test_run_ends_when_its_application_is_replaced() -> None:
    other = new_owner("apply", Path("b.yaml"), False)
    text = ends({**status_of(), "owner": other})
    assert text.startswith("this run ends: its application was replaced by `labelstream apply` of ")
    assert text.endswith("b.yaml)")


def test_run_ends_when_serve_replaces_its_application() -> None:
    assert "was replaced by another command, such as `serve deploy`" in ends({**status_of(), "owner": None})


def test_run_continues_after_apply_of_its_own_file(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    same = changed(OWNER)
    ends({**status_of(), "owner": same}, {**status_of(), "owner": same}, ControlClient.NoApplication("gone"))
    assert caplog.messages.count("the application was changed by `labelstream apply`") == 1


def test_hint_to_dead_letters_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    dead = {**status_of(dead_letters={"empty_text": 2}), "owner": OWNER}
    ends(dead, dead, ControlClient.NoApplication("gone"))
    hints = [line for line in caplog.messages if line.startswith(f"`labelstream dlq list -c {OWNER['config']}` lists")]
    assert len(hints) == 1


def test_status_without_owner_is_not_a_replacement() -> None:
    assert "removed" in ends(status_of(), ControlClient.NoApplication("gone"))


def test_run_ends_after_a_minute_without_control_plane(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()

    def sleep(seconds: float) -> None:
        clock.now += seconds

    monkeypatch.setattr(watch_module.time, "sleep", sleep)
    monkeypatch.setattr(watch_module.time, "monotonic", clock)
    with pytest.raises(StartError, match=r"^away$"):
        Watch(ControlClient(StartError("away")), OWNER).show()
