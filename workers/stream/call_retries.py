"""Retry failed model calls forever, because their records are not to blame."""

import logging
import time
from collections.abc import Callable

from labelstream.workers.errors import InferenceError
from labelstream.workers.stream.log_throttle import LogThrottle
from labelstream.workers.stream.model_call import ModelCall
from labelstream.workers.stream.stats import Stats

logger = logging.getLogger(__name__)


class CallRetries:
    """`failed_at`: monotonic seconds of the last failure, or the start."""

    def __init__(self, stats: Stats, clock: Callable[[], float] = time.monotonic) -> None:
        self._stats, self._clock = stats, clock
        self.failed_at = clock()
        self._log: LogThrottle[str, str] = LogThrottle(_log_failures)

    def answered(self, call: ModelCall) -> bool:
        """Is `call` answered? Submits a failed call again when its backoff has passed.

        Raises the call's error unless it is an `InferenceError`.
        """
        if not call.future.done():
            return False
        error = call.future.exception()
        if error is None:
            return True
        if not isinstance(error, InferenceError):
            raise error
        if call.retry_at is None:
            pause_s = call.fail()
            self.failed_at = self._clock()
            self._log.add(call.model, 1, f"{error}; retrying in {pause_s:.1f} s")
            self._stats.retried(call.model)
        elif self._clock() >= call.retry_at:
            call.submit()
        return False


def _log_failures(model: str, count: int, first: str) -> None:
    calls = "a call" if count == 1 else f"{count} calls"
    logger.error("model %s failed %s: %s", model, calls, first)
