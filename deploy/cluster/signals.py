"""Handling of SIGINT and SIGTERM while Ray runs in this process."""

import logging
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

logger = logging.getLogger(__name__)


class Patience:
    """Handler during a stop: the next Ctrl-C or SIGTERM is ignored, the one after ends the drain."""

    def __init__(self) -> None:
        self._received = 0

    def __call__(self, number: int, frame: object) -> None:
        self._received += 1
        if self._received > 1:
            raise KeyboardInterrupt
        logger.warning(
            "stopping: finishing what is in flight; press Ctrl-C again to stop now and leave it for the next start"
        )


def interrupt(number: int, frame: object) -> None:
    """Handler that turns any signal into a Ctrl-C."""
    raise KeyboardInterrupt


@contextmanager
def handling(numbers: Sequence[signal.Signals], handler: Callable[[int, Any], None]) -> Iterator[None]:
    """Install `handler` for the signals within the context; without effect outside the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(
                number, signal.SIG_DFL if old is None else old
            )  # None: the old handler was not made by Python
