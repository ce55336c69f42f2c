"""A running application before the eyes of a person, or in a log; until it is no longer the one that was started."""

import logging
import re
import shlex
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from labelstream.deploy.cli.application import status_view as view
from labelstream.deploy.cli.common.console import err, escape
from labelstream.deploy.control.deployed import Owner, described
from labelstream.deploy.control.reports import Status
from labelstream.workers.errors import StartError

logger = logging.getLogger(__name__)
TABLE_EVERY_S, LOOK_EVERY_S, ANSWER_S = 1.0, 2.0, 5.0
PATIENCE_S = 60.0  # without an answer of the control plane; Serve restarts what it can meanwhile
RATES_EVERY_S, REPEAT_S = 10.0, 60.0
FIRST_REPORT_S = 10.0  # a worker reports once a second, and a new one not at once
STEADY = 2.0  # a number that changes by a smaller factor is no news
_NUMBER = re.compile(r"\d[\d.,]*")


class NotOurs(StartError):
    """The application that was started is another command's, or gone. Whoever watched it must leave it alone."""


class Watch:
    """Of the application of `owner`, through `runtime`, which is `labelstream.deploy.cluster.runtime`."""

    def __init__(self, runtime: Any, owner: Owner) -> None:
        self._runtime, self._owner = runtime, owner
        self._said_where = False

    def show(self) -> None:
        """Until interrupted. Raises NotOurs, or StartError where nothing answers for a minute."""
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

        seen = view.StatusView()
        # Log lines scroll above the table: Live takes stderr over while it runs.
        with Live(console=console, auto_refresh=False, redirect_stdout=False) as live:
            while True:
                status = self._ask()
                live.update(_live_view(seen.pipelines(status), seen.models(status)), refresh=True)
                time.sleep(TABLE_EVERY_S)

    def _ask(self) -> Status:
        """The control plane's answer. It may be away for a moment, when Serve restarts it."""
        until = time.monotonic() + PATIENCE_S
        while True:
            try:
                status = self._runtime.status(timeout_s=ANSWER_S)
            except self._runtime.NoApplication:
                raise NotOurs("this run ends: its application was removed") from None
            except StartError as error:
                if time.monotonic() > until:
                    raise
                logger.warning("no status: %s", error)
                time.sleep(1.0)
            else:
                self._require_ours(status)
                self._say_where(status)
                return status

    def _require_ours(self, status: Status) -> None:
        owner = status.get("owner", self._owner)
        if owner is None or owner["id"] != self._owner["id"]:
            raise NotOurs(f"this run ends: its application was replaced by {described(owner)}")
        if owner.get("changed_at") != self._owner.get("changed_at"):
            logger.info("changed by `labelstream apply`")
        self._owner = owner

    def _say_where(self, status: Status) -> None:
        """Where to look for dead letters, once."""
        workers = [worker for pipeline in status["pipelines"].values() for worker in pipeline.values()]
        if not self._said_where and any(any(worker["dead_letters"].values()) for worker in workers):
            file = escape(shlex.quote(self._owner["config"]))
            logger.info("`labelstream dlq list -c %s` shows dead letters, and why they are", file)
            self._said_where = True


class _Said(NamedTuple):
    at: float
    kind: tuple[object, ...]
    numbers: tuple[float, ...]


class News:
    """A pipeline's line when its state, its workers or its problems change, when a new kind of dead letter comes, and,
    as found every 10 s, when throughput or the number of dead letters has doubled or halved; else once a minute.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen = view.StatusView(clock)
        self._started_at = self._rates_at = clock()
        self._said: dict[str, _Said] = {}

    def lines(self, status: Status) -> list[str]:
        """Those that are due."""
        now = self._clock()
        due = {
            pipeline.name for pipeline in view.StatusView(self._clock).pipelines(status) if self._is_due(pipeline, now)
        }
        whole = now >= self._rates_at + RATES_EVERY_S
        if not due and not whole:
            return []
        self._rates_at = now
        pipelines = self._seen.pipelines(status)
        return [self._say(one, now) for one in pipelines if one.name in due or (whole and self._is_news(one, now))]

    def _is_due(self, pipeline: view.PipelineView, now: float) -> bool:
        said = self._said.get(pipeline.name)
        if said is not None:
            return said.kind != _kind(pipeline)
        return pipeline.workers > 0 or now >= self._started_at + FIRST_REPORT_S

    def _is_news(self, pipeline: view.PipelineView, now: float) -> bool:
        said = self._said.get(pipeline.name)
        if said is None:
            return False
        return now >= said.at + REPEAT_S or any(map(_moved, said.numbers, _numbers(pipeline)))

    def _say(self, pipeline: view.PipelineView, now: float) -> str:
        self._said[pipeline.name] = _Said(now, _kind(pipeline), _numbers(pipeline))
        return view.line(pipeline)


def _kind(pipeline: view.PipelineView) -> tuple[object, ...]:
    """What is news at once. The numbers in an alarm may change all the time."""
    problems = [_NUMBER.sub("0", text) for text in view.problems(pipeline)]
    return (pipeline.workers, pipeline.state, *problems, *sorted(pipeline.dead_letters))


def _numbers(pipeline: view.PipelineView) -> tuple[float, ...]:
    return pipeline.in_rate, pipeline.out_rate, float(pipeline.dead_letters.total())


def _moved(before: float, now: float) -> bool:
    """Less than one, of messages or messages a second, counts as one."""
    low, high = sorted((max(1.0, before), max(1.0, now)))
    return high >= STEADY * low


def _live_view(pipelines: list[view.PipelineView], models: list[view.ModelView]) -> Any:
    from rich.console import Group
    from rich.text import Text

    devices = [Text(escape(view.model_line(model)), style="dim", overflow="fold") for model in models]
    return Group(view.Overview(pipelines), *devices, *view.problem_lines(pipelines))
