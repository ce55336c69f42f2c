"""The demo's output: a live table on a terminal, else a line every 2 s, and the summary at the end."""

import json
import re
import textwrap
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from labelstream.deploy.accounting import Totals
from labelstream.deploy.cli.common.arguments import DEMO_MODEL
from labelstream.deploy.cli.common.console import escape, out, plural, reasons, shorten
from labelstream.deploy.cli.common.times import shown_ms
from labelstream.deploy.cli.demo.stream import WINDOW, Answer

LINE_EVERY_S = 2.0
ROWS, COLUMNS, INDENT = 12, 80, 16
TEXT_COLUMNS = 60  # of an answer's line
Show = Callable[[Totals, Sequence[Answer]], None]


class Progress:
    """Times the stages of the start. `step` ends one stage and prints a line."""

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
        """The rate now, with `count` messages done in total."""
        now = self._clock()
        self._points.append((now, count))
        while len(self._points) > 2 and now - self._points[1][0] >= self._span_s:
            self._points.pop(0)
        first_at, first = self._points[0]
        return (count - first) / (now - first_at) if now > first_at else 0.0


@contextmanager
def shown() -> Iterator[Show]:
    """Yield the function that shows the progress. Call it several times a second."""
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
                print(f"  {escape(answer.label):<10} {answer.score:.3f}  {shorten(escape(answer.text), TEXT_COLUMNS)}")
        last[0] = time.monotonic()
        print(state(totals, rate.at(totals.accounted)), flush=True)

    yield line


def state(totals: Totals, rate: float) -> str:
    """The progress in one line of at most 80 columns."""
    return (
        f"{totals.accounted} of {totals.sent} messages came back, {rate:.0f}/s, p50 {shown_ms(totals.p50_ms)}, "
        f"{plural(sum(totals.dead_letters.values()), 'dead letter')}"
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
    """The lines at the end, of at most 80 columns."""
    rate = totals.accounted / streamed_s if streamed_s > 0 else 0.0
    balance = (
        f"all {totals.sent} messages are accounted for"
        if not totals.missing and not totals.unexpected
        else f"{totals.missing} of {totals.sent} messages did not come back, {totals.unexpected} were never sent"
    )
    rows = {
        "results": str(totals.results),
        "dead letters": reasons(totals.dead_letters),
        "duplicates": str(totals.duplicates),
        "throughput": f"{rate:.0f} messages/s over {streamed_s:.1f} s on this machine",
        "latency": f"p50 {shown_ms(totals.p50_ms)} from the producer through Kafka and the model to the reader, "
        f"with up to {WINDOW} messages in flight",
        "model": f"{name_of(model)}: {accuracy(model)}",
        "start-up": ", ".join(f"{name} {seconds:.1f} s" for name, seconds in stages),
    }
    return ["", f"Read back from Kafka by offset: {balance}.", *(_row(name, text) for name, text in rows.items())]


def _row(name: str, text: str) -> str:
    """The row in lines of `COLUMNS`. A number stays in the line of its name."""
    glued = re.sub(r"(\w) (\d)", "\\1\N{NO-BREAK SPACE}\\2", text)
    lines = textwrap.fill(glued, COLUMNS, initial_indent=f"  {name:{INDENT - 2}}", subsequent_indent=" " * INDENT)
    return lines.replace("\N{NO-BREAK SPACE}", " ")


def name_of(model: Path | str) -> str:
    """The model's name in the output."""
    return (
        "the demo's small sentiment model"
        if str(model) == str(DEMO_MODEL)
        else shorten(escape(str(model)), TEXT_COLUMNS)
    )


def accuracy(model: Path | str) -> str:
    """The accuracy in the report beside the model, if there is one."""
    try:
        report = json.loads((Path(model) / "accuracy.json").read_text(encoding="utf-8"))
        texts = escape(str(report["texts"]))
        return f"{float(report['accuracy']):.1%} right on {int(report['sentences'])} {texts}"
    except (OSError, ValueError, KeyError, TypeError):
        return "no accuracy was measured"
