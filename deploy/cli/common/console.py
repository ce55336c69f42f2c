"""Terminal output of all commands: consoles, logging, escaped text, and stopping by signal."""

import logging
import os
import shlex
import signal
import sys
import threading
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

# Controls (C0, C1), invisible formats (text direction, joiners, tags), surrogates, line and paragraph separators.
_UNSAFE = {"Cc", "Cf", "Cs", "Zl", "Zp"}

ANNOUNCED_AFTER_S = 2.0
_AGAIN_S = 0.1


class _Verbosity:
    """`on`: set by `labelstream -v`. `json_logs`: every line on stderr is a log line in JSON, errors included."""

    on = json_logs = False


VERBOSITY = _Verbosity()


class _Hints:
    """`config`: the config file of this command, which errors and log lines name in place of FILE."""

    config: Path | None = None


HINTS = _Hints()


def with_file(text: str) -> str:
    """`text`, with this command's config file in hints such as `labelstream topics create -c FILE`."""
    if HINTS.config is None or VERBOSITY.json_logs:
        return text
    return text.replace("-c FILE", f"-c {escape(shlex.quote(str(HINTS.config)))}")


class _CurrentStderr(logging.Handler):
    """Writes to the current `sys.stderr`: a live table replaces it, to keep log lines above the table."""

    def emit(self, record: logging.LogRecord) -> None:
        say_at_once(self.format(record))


def say_at_once(line: str) -> None:
    """Write one line to stderr in a single call, because another thread may write at the same time."""
    sys.stderr.write(with_file(line) + "\n")
    sys.stderr.flush()


def set_up_logging(level: int, formatter: logging.Formatter | None = None) -> None:
    """Send log lines to stderr. kafka-python is silent at every level: its DEBUG log contains keys and values."""
    handler = _CurrentStderr()
    VERBOSITY.json_logs = formatter is not None
    handler.setFormatter(formatter or logging.Formatter("%(asctime)s %(levelname)s %(message)s", datefmt="%H:%M:%S"))
    logging.basicConfig(level=level, handlers=[handler], force=True)
    logging.captureWarnings(True)
    for noisy in ("ray", "ray.serve", "httpx", "httpx2", "huggingface_hub", "transformers", "py.warnings", "asyncio"):
        logging.getLogger(noisy).setLevel(logging.ERROR)
    logging.getLogger("kafka").setLevel(logging.CRITICAL)


def out() -> "Console":
    """The console for results: stdout."""
    from rich.console import Console

    return Console(highlight=False, markup=False, emoji=False)


def err() -> "Console":
    """The console for progress and remarks: stderr."""
    from rich.console import Console

    return Console(stderr=True, highlight=False, markup=False, emoji=False)


def say(text: str) -> None:
    """Print one plain line to stderr."""
    print(with_file(text), file=sys.stderr, flush=True)


@contextmanager
def announced(text: str, tell: Callable[[str], object] = say, after_s: float | None = None) -> Iterator[None]:
    """Say `text` once if the block takes longer than `after_s` (default: 2 s)."""
    timer = threading.Timer(ANNOUNCED_AFTER_S if after_s is None else after_s, tell, (text,))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def escape(text: str) -> str:
    """Foreign text, safe for a terminal: invisible characters and controls become escapes, the rest stays."""
    if text.isprintable():
        return text
    return "".join(
        one.encode("unicode_escape").decode("ascii") if unicodedata.category(one) in _UNSAFE else one for one in text
    )


def escape_bytes(value: bytes) -> str:
    """Like `escape`, for bytes that may not be UTF-8."""
    return escape(value.decode("utf-8", "backslashreplace"))


def shorten(text: str, limit: int) -> str:
    """Cut `text` to `limit` characters; an ellipsis marks the cut."""
    return text if len(text) <= limit else text[: max(1, limit - 1)] + "…"


def shorten_start(text: str, limit: int) -> str:
    """Cut the start of `text` to keep `limit` characters; an ellipsis marks the cut."""
    return text if len(text) <= limit else "…" + text[1 - limit :]


def plural(count: int | str, noun: str) -> str:
    """`1 worker`, `2 workers`."""
    return f"{count} {noun}" if str(count) == "1" else f"{count} {noun}s"


def between(bounds: Any, noun: str) -> str:
    """`1 worker` or `1 to 8 workers`, by the `min` and `max` of `bounds`."""
    return plural(str(bounds.min) if bounds.max == bounds.min else f"{bounds.min} to {bounds.max}", noun)


def one_line(error: BaseException) -> str:
    """An error's text without line breaks."""
    return escape(" ".join(str(error).split())) or type(error).__name__


@contextmanager
def stops_on_signals() -> Iterator[None]:
    """SIGTERM and Ctrl-C both raise KeyboardInterrupt inside the block.

    Python may run the handler where an exception cannot propagate: in a `__del__` or a weak reference's callback.
    The interrupt would be lost there, with a traceback on stderr, so the signal is sent again.

    Enter the block again after `ray.init`, which replaces the handler of SIGTERM.
    """

    def stop(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    lost: list[threading.Timer] = []

    def send_again(unraisable: Any) -> None:
        if not issubclass(unraisable.exc_type, KeyboardInterrupt):
            hook(unraisable)
            return
        lost.append(threading.Timer(_AGAIN_S, os.kill, (os.getpid(), signal.SIGINT)))
        lost[-1].daemon = True
        lost[-1].start()

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    hook, sys.unraisablehook = sys.unraisablehook, send_again
    try:
        yield
    finally:
        sys.unraisablehook = hook
        for timer in lost:
            timer.cancel()
        for number, handler in before.items():
            signal.signal(number, handler)


def reasons(dead: Mapping[str, int]) -> str:
    """`3 (empty_text 2, invalid_json 1)`, or `0`."""
    if not dead:
        return "0"
    most_first = sorted(dead.items(), key=lambda item: (-item[1], item[0]))
    return f"{sum(dead.values())} ({', '.join(f'{reason} {count}' for reason, count in most_first)})"


def number(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f}"
