"""Shows a running application, as a live table or as log lines, until another command replaces or removes it."""

import logging
import re
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from labelstream.deploy.cli.application import status_view as view
from labelstream.deploy.cli.common.console import err, escape
from labelstream.deploy.control.deployed import Owner, described
from labelstream.deploy.control.reports import Status
from labelstream.deploy.control.summary import DLQ_HINT, ModelView, PipelineView, StatusView, for_owner, problems
from labelstream.workers.errors import StartError

logger = logging.getLogger(__name__)
TABLE_EVERY_S, LOOK_EVERY_S, ANSWER_S = 1.0, 2.0, 5.0
PATIENCE_S = 60.0  # without an answer of the control plane, which Serve restarts meanwhile
RATES_EVERY_S, REPEAT_S = 10.0, 60.0
FIRST_REPORT_S = 10.0  # a worker reports once a second, and a new worker later
STEADY = 2.0  # a change by a smaller factor is not reported
_NUMBER = re.compile(r"\d[\d.,]*")


class NotOurs(StartError):
    """The application was replaced by another command, or removed. The watcher must not stop it."""


class Watch:
    """Watches the application of `owner` through `client` (`labelstream.deploy.cluster.application.control_client`)."""

    def __init__(self, client: Any, owner: Owner) -> None:
        self._client, self._owner = client, owner
        self._dlq_hint_given = False

    def show(self) -> None:
        """Show the application until interrupted. Raises NotOurs, or StartError after a minute without an answer."""
        console = err()
        if console.is_terminal:
            self._show_table(console)
        news = News()
        while True:
            for line in news.lines(self._ask()):
                logger.info("%s", escape(line))
            time.sleep(LOOK_EVERY_S)

    def _show_table(self, console: Any) -> None:
        from rich.live import Live

        seen = StatusView()
        # Live redirects stderr while it runs, so log lines scroll above the table.
        with Live(console=console, auto_refresh=False, redirect_stdout=False) as live:
            while True:
                status = self._ask()
                live.update(_live_view(seen.pipelines(status), seen.models(status)), refresh=True)
                time.sleep(TABLE_EVERY_S)

    def _ask(self) -> Status:
        """The control plane's answer. Waits while Serve restarts the control plane."""
        until = time.monotonic() + PATIENCE_S
        while True:
            try:
                status = self._client.status(timeout_s=ANSWER_S)
            except self._client.NoApplication:
                raise NotOurs("this run ends: its application was removed") from None
            except StartError as error:
                if time.monotonic() > until:
                    raise
                logger.warning("no status, asking again: %s", error)
                time.sleep(1.0)
            else:
                self._require_ours(status)
                self._give_dlq_hint(status)
                return status

    def _require_ours(self, status: Status) -> None:
        owner = status.get("owner", self._owner)
        if owner is None or owner["id"] != self._owner["id"]:
            raise NotOurs(f"this run ends: its application was replaced by {described(owner)}")
        if owner.get("changed_at") != self._owner.get("changed_at"):
            logger.info("the application was changed by `labelstream apply`")
        self._owner = owner

    def _give_dlq_hint(self, status: Status) -> None:
        """Log once how to list dead letters."""
        workers = [worker for pipeline in status["pipelines"].values() for worker in pipeline.values()]
        if not self._dlq_hint_given and any(any(worker["dead_letters"].values()) for worker in workers):
            logger.info("%s", escape(for_owner(DLQ_HINT, self._owner)))
            self._dlq_hint_given = True


class _Logged(NamedTuple):
    at: float
    kind: tuple[object, ...]
    numbers: tuple[float, ...]


class News:
    """Decides when to log a pipeline's line.

    At once: its state, workers or problems change, or a dead letter has a new reason. Every 10 s: throughput or the
    number of dead letters has doubled or halved. Otherwise: once a minute.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen = StatusView(clock)
        self._started_at = self._rates_at = clock()
        self._said: dict[str, _Logged] = {}

    def lines(self, status: Status) -> list[str]:
        """The lines that are due."""
        now = self._clock()
        due = {pipeline.name for pipeline in StatusView(self._clock).pipelines(status) if self._is_due(pipeline, now)}
        whole = now >= self._rates_at + RATES_EVERY_S
        if not due and not whole:
            return []
        self._rates_at = now
        pipelines = self._seen.pipelines(status)
        return [self._say(one, now) for one in pipelines if one.name in due or (whole and self._is_news(one, now))]

    def _is_due(self, pipeline: PipelineView, now: float) -> bool:
        said = self._said.get(pipeline.name)
        if said is not None:
            return said.kind != _kind(pipeline)
        return pipeline.workers > 0 or now >= self._started_at + FIRST_REPORT_S

    def _is_news(self, pipeline: PipelineView, now: float) -> bool:
        said = self._said.get(pipeline.name)
        if said is None:
            return False
        return now >= said.at + REPEAT_S or any(map(_moved, said.numbers, _numbers(pipeline)))

    def _say(self, pipeline: PipelineView, now: float) -> str:
        self._said[pipeline.name] = _Logged(now, _kind(pipeline), _numbers(pipeline))
        return view.line(pipeline)


def _kind(pipeline: PipelineView) -> tuple[object, ...]:
    """Logged at once when it changes. Numbers in alarms are left out, because they change all the time."""
    texts = [_NUMBER.sub("0", text) for text in problems(pipeline)]
    return (pipeline.workers, pipeline.state, *texts, *sorted(pipeline.dead_letters))


def _numbers(pipeline: PipelineView) -> tuple[float, ...]:
    return pipeline.in_rate, pipeline.out_rate, float(pipeline.dead_letters.total())


def _moved(before: float, now: float) -> bool:
    """Has the number at least doubled or halved? Numbers below 1 count as 1."""
    low, high = sorted((max(1.0, before), max(1.0, now)))
    return high >= STEADY * low


def _live_view(pipelines: list[PipelineView], models: list[ModelView]) -> Any:
    from rich.console import Group
    from rich.text import Text

    devices = [Text(escape(view.model_line(model)), style="dim", overflow="fold") for model in models]
    return Group(view.Overview(pipelines), *devices, *view.problem_lines(pipelines))
