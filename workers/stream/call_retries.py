"""Calls to models that got no answer are made again: that is never the records' fault."""

import logging
import time
from collections.abc import Callable

from labelstream.workers.errors import InferenceError
from labelstream.workers.stream.micro_batch import ModelCall
from labelstream.workers.stream.stats import Stats

logger = logging.getLogger(__name__)


class CallRetries:
    """`failed_at`: when a call failed last, or the start. `wake`: called when an attempt has ended."""

    def __init__(self, stats: Stats, wake: Callable[[], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._stats, self._wake, self._clock = stats, wake, clock
        self.failed_at = clock()

    def answered(self, call: ModelCall) -> bool:
        """Is the answer there? A call that failed is made again when it is time, for good.

        Raises what a call failed with when that is no `InferenceError`.
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
            logger.error("no answer from model %s (%s); asking again in %.1f s", call.model, error, pause_s)
            self._stats.retried(call.model)
        elif self._clock() >= call.retry_at:
            call.resubmit()
            call.when_done(self._wake)
        return False
