"""Which failures of a Serve call are retried: those that say nothing about the records in the call."""

import asyncio
import logging

import grpc
from ray.exceptions import RayError, RayTaskError
from ray.serve.exceptions import RayServeException
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, wait_random_exponential

from labelstream.deploy.model_client.crash_budget import Paused
from labelstream.workers.errors import InferenceError, ModelChanged

logger = logging.getLogger(__name__)
FIRST_WAIT_S, MAX_WAIT_S = 0.2, 5.0
_LOST_FOR_GOOD = (grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.UNIMPLEMENTED)


def may_pass_later(error: BaseException) -> bool:
    """Whether a retry may succeed: dead, absent or overloaded replicas, broken connections, a model that failed as a
    whole.
    """
    if isinstance(error, ModelChanged | Paused):
        return False
    if isinstance(error, RayTaskError):  # raised by the code of the replica
        return isinstance(error, InferenceError)
    if isinstance(error, grpc.RpcError):
        code = getattr(error, "code", lambda: None)()
        return code not in _LOST_FOR_GOOD
    return isinstance(error, InferenceError | RayError | RayServeException | ConnectionError | TimeoutError)


def failed_as_a_whole(error: BaseException) -> bool:
    """Whether a replica reported that its model failed on the whole call."""
    return isinstance(error, RayTaskError) and isinstance(error, InferenceError) and not isinstance(error, ModelChanged)


def one_line(error: BaseException) -> str:
    """The failure in one line for a person; Ray's own texts are whole tracebacks."""
    cause = getattr(error, "cause", None) if isinstance(error, RayTaskError) else None
    if isinstance(error, grpc.aio.AioRpcError):
        return f"gRPC {error.code().name}: {error.details()}"[:300]
    shown = cause if isinstance(cause, BaseException) else error
    text = next((line for line in str(shown).splitlines() if line.strip()), "").strip()
    if isinstance(shown, InferenceError) and text:
        return text[:300]
    return f"{type(shown).__name__}: {text}"[:300] if text else type(shown).__name__


def retrying(model: str) -> AsyncRetrying:
    """Retry with growing random pauses until the caller's deadline, and log the reason."""

    def before_sleep(state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        logger.warning("model %s: %s; retrying", model, one_line(error) if error else "no answer")

    return AsyncRetrying(
        retry=retry_if_exception(may_pass_later),
        wait=wait_random_exponential(multiplier=FIRST_WAIT_S, max=MAX_WAIT_S),
        sleep=asyncio.sleep,
        before_sleep=before_sleep,
        reraise=True,
    )
