"""Resolves the futures of calls, each exactly once and with plain errors."""

import logging
from collections.abc import Sequence

from labelstream.workers.engine.batching.lanes import Call
from labelstream.workers.engine.ragged import ScoredSequences
from labelstream.workers.errors import InferenceError

logger = logging.getLogger(__name__)
Answer = ScoredSequences | InferenceError


def settle(calls: Sequence[Call], answers: Sequence[Answer]) -> None:
    """Resolve each call with its answer. An error in a callback of a future must not reach other calls."""
    for call, answer in zip(calls, answers, strict=True):
        try:
            if isinstance(answer, Exception):
                call.future.set_exception(answer)
            else:
                call.future.set_result(answer)
        except BaseException:
            logger.exception("a callback of a call failed")


def settle_bug(calls: Sequence[Call], error: BaseException) -> None:
    """Resolve all `calls` after any error, so that no caller waits forever and the thread survives."""
    logger.error("BUG: the batcher failed a batch of %d calls: %r", len(calls), error)
    settle(calls, [plain(error) for _ in calls])


def plain(error: BaseException) -> InferenceError:
    """A copy of `error`. The original may hold the batch's memory, or classes that the caller cannot unpickle."""
    return InferenceError(str(error) if isinstance(error, InferenceError) else f"BUG: {error!r}"[:300])
