"""What the demo shows: a live table on a terminal, else a plain line now and then, and the summary at the end."""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from labelstream.deploy.accounting import Totals
from labelstream.deploy.cli.common.arguments import DEMO_MODEL
from labelstream.deploy.cli.common.console import escape, number, out, reasons, shorten
from labelstream.deploy.cli.demo.stream import WINDOW, Answer

LINE_EVERY_S = 2.0
ROWS = 12
Show = Callable[[Totals, Sequence[Answer]], None]


class Progress:
    """What takes how long: `step` ends one stage and prints it."""

    def __init__(self) -> None:
        self._started = self._last = time.monotonic()
        self.stages: list[tuple[str, float]] = []

    def say(self, text: str) -> None:
        print(f"[{time.monotonic() - self._started:5.1f} s] {text}", flush=True)

    def step(self, name: str, text: str) -> None:
        now = time.monotonic()
        self.stages.append((name, now - self._last))
        self._last = now
        self.say(text)


class Rate:
    """Messages per second over the last few seconds."""

    def __init__(self, span_s: float = 5.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._span_s, self._clock = span_s, clock
        self._points = [(clock(), 0)]

    def at(self, count: int) -> float:
        """The rate now that `count` messages are done in all."""
        now = self._clock()
        self._points.append((now, count))
        while len(self._points) > 2 and now - self._points[1][0] >= self._span_s:
            self._points.pop(0)
        first_at, first = self._points[0]
        return (count - first) / (now - first_at) if now > first_at else 0.0


@contextmanager
def shown() -> Iterator[Show]:
    """Gives the function that shows the state; call it a few times a second."""
    console, rate = out(), Rate()
    if console.is_terminal:
        from rich.live import Live

        with Live(console=console, auto_refresh=False) as live:
            yield lambda totals, recent: live.update(_table(totals, recent, rate.at(totals.accounted)), refresh=True)
        return
    last = [0.0]

    def line(totals: Totals, recent: Sequence[Answer]) -> None:
        if time.monotonic() - last[0] < LINE_EVERY_S or not totals.accounted:
            return
        if not last[0]:
            for answer in list(recent)[-5:]:
                print(f"  {escape(answer.label):<10} {answer.score:.3f}  {escape(answer.text)}")
        last[0] = time.monotonic()
        print(state(totals, rate.at(totals.accounted)), flush=True)

    yield line


def state(totals: Totals, rate: float) -> str:
    """One line."""
    return (
        f"{totals.accounted} of {totals.sent} messages came back, {rate:.0f}/s, p50 {number(totals.p50_ms)} ms, "
        f"lag {totals.missing}, dead letters {reasons(totals.dead_letters)}"
    )


def _table(totals: Totals, recent: Sequence[Answer], rate: float) -> Any:
    from rich.table import Table
    from rich.text import Text

    table = Table(
        title="labelstream demo",
        caption=Text(f"{state(totals, rate)}\nCtrl-C stops"),
        caption_justify="left",
        title_justify="left",
        expand=True,
    )
    table.add_column("label", no_wrap=True)
    table.add_column("score", justify="right", no_wrap=True)
    table.add_column("text", ratio=1, no_wrap=True, overflow="ellipsis")
    for answer in list(recent)[-ROWS:]:
        color = {"POSITIVE": "green", "NEGATIVE": "red"}.get(answer.label, "")
        table.add_row(Text(escape(answer.label), style=color), f"{answer.score:.3f}", Text(escape(answer.text)))
    return table


def summary(totals: Totals, streamed_s: float, stages: Sequence[tuple[str, float]], model: Path | str) -> list[str]:
    """The lines at the end."""
    rate = totals.accounted / streamed_s if streamed_s > 0 else 0.0
    balance = (
        f"every one of {totals.sent} messages is accounted for"
        if not totals.missing and not totals.unexpected
        else f"of {totals.sent} messages {totals.missing} did not come back, {totals.unexpected} came back unasked"
    )
    return [
        "",
        f"Read back from Kafka and matched by offset: {balance}.",
        f"  results       {totals.results}",
        f"  dead letters  {reasons(totals.dead_letters)}",
        f"  duplicates    {totals.duplicates}",
        f"  throughput    {rate:.0f} messages/s over {streamed_s:.1f} s, first to last on this machine",
        f"  latency       p50 {number(totals.p50_ms)} ms from the producer through Kafka and the model to the",
        f"                reader, with up to {WINDOW} messages under way",
        f"  model         {name_of(model)}; when it was made:",
        f"                {accuracy(model)}",
        "  start-up      " + ", ".join(f"{name} {seconds:.1f} s" for name, seconds in stages),
    ]


def name_of(model: Path | str) -> str:
    """What the model is called in the output."""
    return "the demo's small sentiment model" if str(model) == str(DEMO_MODEL) else shorten(escape(str(model)), 120)


def accuracy(model: Path | str) -> str:
    """What was measured when the model was made, where a report of that lies beside it."""
    try:
        report = json.loads((Path(model) / "accuracy.json").read_text(encoding="utf-8"))
        texts = escape(str(report["texts"]))
        return f"{float(report['accuracy']):.1%} right on {int(report['sentences'])} {texts}"
    except (OSError, ValueError, KeyError, TypeError):
        return "no accuracy was measured here"
