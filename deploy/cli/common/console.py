"""What all commands share towards the person in front: consoles, logging, safe text, stopping by signal."""

import logging
import os
import signal
import sys
import threading
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

# Controls (C0, C1), invisible formats (direction of writing, joiners, tags), surrogates, line and paragraph separators.
_UNSAFE = {"Cc", "Cf", "Cs", "Zl", "Zp"}

ANNOUNCED_AFTER_S = 2.0
_AGAIN_S = 0.1


class _Verbosity:
    """Set once, by `labelstream -v`."""

    on = False


VERBOSITY = _Verbosity()


class _StderrOfNow(logging.Handler):
    """To what is stderr at the moment: a live table puts something in its place, so that log lines stay above it."""

    def emit(self, record: logging.LogRecord) -> None:
        say_at_once(self.format(record))


def say_at_once(line: str) -> None:
    """On stderr, in one piece: another thread may say something at the same time."""
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


def set_up_logging(level: int, formatter: logging.Formatter | None = None) -> None:
    """Log lines to stderr. kafka-python stays quiet at any level: its DEBUG log holds keys and values."""
    handler = _StderrOfNow()
    handler.setFormatter(formatter or logging.Formatter("%(asctime)s %(levelname)s %(message)s", datefmt="%H:%M:%S"))
    logging.basicConfig(level=level, handlers=[handler], force=True)
    logging.captureWarnings(True)
    for noisy in ("ray", "ray.serve", "httpx", "huggingface_hub", "transformers", "py.warnings", "asyncio"):
        logging.getLogger(noisy).setLevel(logging.ERROR)
    logging.getLogger("kafka").setLevel(logging.CRITICAL)


def out() -> "Console":
    """Results go to stdout, through rich only where a person reads them."""
    from rich.console import Console

    return Console(highlight=False, markup=False, emoji=False)


def err() -> "Console":
    """Progress and remarks go to stderr."""
    from rich.console import Console

    return Console(stderr=True, highlight=False, markup=False, emoji=False)


def say(text: str) -> None:
    """One plain line on stderr."""
    print(text, file=sys.stderr, flush=True)


@contextmanager
def announced(text: str, tell: Callable[[str], object] = say, after_s: float | None = None) -> Iterator[None]:
    """Tells what is going on, once, where the block takes longer than `after_s`, or than 2 s."""
    timer = threading.Timer(ANNOUNCED_AFTER_S if after_s is None else after_s, tell, (text,))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def escape(text: str) -> str:
    """Foreign text for a terminal: what is not seen, or moves the cursor, as escapes; everything else as it is."""
    if text.isprintable():
        return text
    return "".join(
        one.encode("unicode_escape").decode("ascii") if unicodedata.category(one) in _UNSAFE else one for one in text
    )


def escape_bytes(value: bytes) -> str:
    """Like `escape`, for what may not even be UTF-8."""
    return escape(value.decode("utf-8", "backslashreplace"))


def shorten(text: str, limit: int) -> str:
    """At most `limit` characters."""
    return text if len(text) <= limit else text[: max(1, limit - 1)] + "…"


def plural(count: int | str, noun: str) -> str:
    """`1 worker`, `2 workers`."""
    return f"{count} {noun}" if str(count) == "1" else f"{count} {noun}s"


def one_line(error: BaseException) -> str:
    """An error's text without line breaks."""
    return escape(" ".join(str(error).split())) or type(error).__name__


@contextmanager
def stops_on_signals() -> Iterator[None]:
    """SIGTERM and Ctrl-C both raise KeyboardInterrupt inside the block.

    Python runs the handler wherever it is, also where nothing can be raised (a `__del__`, a weak reference's callback):
    there the interrupt would be lost, with a traceback on stderr. It is sent again.

    To be entered anew after `ray.init`, which takes SIGTERM for itself.
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
