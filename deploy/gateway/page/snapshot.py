"""What the page shows now, as plain data: the numbers and problems of `labelstream status`."""

from collections.abc import Iterable
from typing import Any

from labelstream.deploy.control.reports import PageStatus
from labelstream.deploy.control.summary import (
    DLQ_HINT,
    ModelView,
    PipelineView,
    for_owner,
    http_view,
    problems,
)
from labelstream.workers.stream.report import ALARMS_PAGE

RECENT = 12


def snapshot(status: PageStatus, pipelines: Iterable[PipelineView], models: Iterable[ModelView]) -> dict[str, Any]:
    """`pipelines`, `models`: of `status`."""
    http = http_view(status)
    recent = [{"pipeline": name, **one} for name, found in status["recent"].items() for one in found]
    return {
        "pipelines": [_pipeline(one, status) for one in pipelines],
        "models": [one._asdict() for one in models],
        "http": None if http is None else http._asdict(),
        "recent": sorted(recent, key=lambda one: one["at"])[-RECENT:],
    }


def _pipeline(view: PipelineView, status: PageStatus) -> dict[str, Any]:
    owner = status.get("owner")
    shown = {key: value for key, value in view._asdict().items() if key not in ("silent", "troubles", "alarms")}
    return {
        **shown,
        "problems": [for_owner(text, owner) for text in problems(view)],
        "alarms_page": ALARMS_PAGE if view.alarms else None,
        "dead_letters_hint": for_owner(DLQ_HINT, owner) if view.dead_letters and owner else None,
    }
