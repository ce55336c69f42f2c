import asyncio
from collections.abc import Sequence
from concurrent.futures import Future
from contextvars import ContextVar

import pytest

from labelstream.deploy.gateway.turn_joiner import INLINE_CHARS, MAX_JOINED_TEXTS, TurnJoiner
from labelstream.workers.classifier import Answer, Prediction, Request
from labelstream.workers.errors import InferenceError

pytestmark = pytest.mark.anyio


class Submits:
    """A submit that answers with the text as the label, or waits until `release`."""

    def __init__(self, waits: bool = False, error: Exception | None = None) -> None:
        self.waits, self.error = waits, error
        self.calls: list[list[str]] = []
        self.futures: list[Future[list[Answer]]] = []

    def __call__(self, requests: Sequence[Request]) -> "Future[list[Answer]]":
        future: Future[list[Answer]] = Future()
        self.calls.append([request.text for request in requests])
        self.futures.append(future)
        if self.error is not None:
            future.set_exception(self.error)
        elif not self.waits:
            future.set_result([Prediction((request.text,), (1.0,), 3, False, "one") for request in requests])
        return future


def asked(texts: str) -> list[Request]:
    return [Request(text) for text in texts]


def labels(answers: Sequence[Answer]) -> str:
    return "".join(answer.labels[0] for answer in answers if isinstance(answer, Prediction))


async def test_requests_of_one_turn_share_a_submit() -> None:
    submits = Submits()
    joiner = TurnJoiner(submits)

    answers = await asyncio.gather(*(joiner.answer(asked(texts)) for texts in ("a", "bc", "d")))

    assert [labels(one) for one in answers] == ["a", "bc", "d"]
    assert submits.calls == [["a", "b", "c", "d"]]


async def test_requests_of_two_turns_do_not_wait() -> None:
    submits = Submits()
    joiner = TurnJoiner(submits)

    await joiner.answer(asked("a"))
    await joiner.answer(asked("b"))

    assert submits.calls == [["a"], ["b"]]


async def test_many_texts_become_several_submits() -> None:
    submits = Submits()
    joiner = TurnJoiner(submits)

    await asyncio.gather(*(joiner.answer(asked("a" * MAX_JOINED_TEXTS)) for _ in range(2)))

    assert [len(call) for call in submits.calls] == [MAX_JOINED_TEXTS, MAX_JOINED_TEXTS]


async def test_long_texts_are_answered_from_a_thread() -> None:
    joiner = TurnJoiner(Submits())

    [answer] = await joiner.answer([Request("a" * (INLINE_CHARS + 1))])

    assert isinstance(answer, Prediction)


async def test_failed_submit_fails_each_request() -> None:
    joiner = TurnJoiner(Submits(error=InferenceError("no replica")))

    found = await asyncio.gather(*(joiner.answer(asked(text)) for text in "ab"), return_exceptions=True)

    assert [str(error) for error in found] == ["no replica", "no replica"]


async def test_call_is_cancelled_with_its_last_request() -> None:
    submits = Submits(waits=True)
    joiner = TurnJoiner(submits)
    first, second = (asyncio.create_task(joiner.answer(asked(text))) for text in "ab")
    while not submits.calls:
        await asyncio.sleep(0)

    first.cancel()
    await asyncio.sleep(0)
    assert not submits.futures[0].cancelled()
    second.cancel()
    for _ in range(5):
        await asyncio.sleep(0)

    assert submits.futures[0].cancelled()
    with pytest.raises(asyncio.CancelledError):
        await first


async def test_submit_is_not_in_the_context_of_a_request() -> None:
    """Serve cancels what a request calls when the request's client is gone."""
    request = ContextVar("request", default="")
    seen: list[str] = []

    def submit(requests: Sequence[Request]) -> "Future[list[Answer]]":
        seen.append(request.get())
        return Submits()(requests)

    request.set("one")
    await TurnJoiner(submit).answer(asked("a"))
    await TurnJoiner(submit).answer(asked("a" * INLINE_CHARS + "b"))

    assert seen == ["", ""]
