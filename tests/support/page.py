"""What the page of the gateway shows in tests: a source of numbers, and a reader of server-sent events."""

import json
from collections.abc import Iterator
from typing import Any

from labelstream.deploy.control.reports import PageStatus
from labelstream.deploy.gateway.page.feed import Feed
from tests.support.reports import model_report, pipeline_report

ABOUT = {"models": [{"name": "m", "task": "text-classification"}], "texts": True}
EVIL = '<img src=x onerror="document.title=1">'


class FakeSource:
    """The numbers of one pipeline and one model. `asked`: number of questions; `error`: raised if set."""

    def __init__(self) -> None:
        self.asked = 0
        self.error: Exception | None = None
        self.pipelines = True
        self.report: dict[str, Any] = pipeline_report(
            results_out=5,
            dead_letters={"empty_text": 2},
            latency_ms={"p50": 40.0, "p99": 90.0},
            labels={"m": {EVIL: 3, "no": 2}},
            alarms=["paused: the model fails; see `labelstream dlq list -c FILE p`"],
        )
        self.recent: list[Any] = [
            {
                "at": 9.0,
                "place": "in:0:7",
                "model": "m",
                "label": EVIL,
                "score": 0.9,
                "abstained": False,
                "text": EVIL,
            }
        ]

    async def __call__(self) -> PageStatus:
        self.asked += 1
        if self.error is not None:
            raise self.error
        status: Any = {
            "pipelines": {"p": {"r1": self.report}} if self.pipelines else {},
            "models": {"m": {"r2": model_report()}},
            "scaling": {"backlog": {}, "warnings": {}, "targets": {"model-m": 3}, "reasons": {}},
            "recent": {"p": self.recent} if self.pipelines else {},
        }
        return status


def fake_feed(max_requests: int = 256, model: str = "m") -> tuple[Feed, FakeSource]:
    """`model`: what the box sends texts to."""
    source = FakeSource()
    about = {**ABOUT, "models": [{"name": model, "task": "text-classification"}]}
    return Feed(source, about, max_requests), source


def read_events(text: str) -> Iterator[tuple[str, Any]]:
    """Names and data of the complete events in `text`, as EventSource reads them."""
    for block in text.split("\n\n")[:-1]:
        fields = dict(line.split(": ", 1) for line in block.split("\n"))
        yield fields["event"], json.loads(fields["data"])
