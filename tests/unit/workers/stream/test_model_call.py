"""A call to a model, over all of its attempts."""

import gc
import weakref

from labelstream.workers.classifier import Request
from labelstream.workers.errors import InferenceError
from labelstream.workers.stream.model_call import ModelCall
from tests.support.clock import Clock
from tests.support.fakes import HeldClassifier


def test_failed_attempt_is_not_the_answer() -> None:
    held, clock, wakes = HeldClassifier(), Clock(), []
    call = ModelCall("m", [0], [Request("a")], held, clock, lambda: wakes.append(call.done_at))
    clock.now += 1
    held.futures[0].set_exception(InferenceError("no replica"))
    assert (call.answered(), wakes) == (False, [clock.now])
    call.submit()
    assert (call.done_at, call.answered()) == (None, False)
    clock.now += 1
    held.futures[1].set_result([])
    assert (call.answered(), wakes) == (True, [clock.now - 1, clock.now])


def test_failures_double_the_pause() -> None:
    clock = Clock()
    call = ModelCall("m", [0], [Request("a")], HeldClassifier(), clock)
    assert [call.fail(), call.fail()] == [0.5, 1.0]
    assert call.retry_at == clock.now + 1.0
    call.submit()
    assert call.retry_at is None


def test_future_does_not_keep_its_call() -> None:
    held, wakes = HeldClassifier(), []
    known = weakref.ref(ModelCall("m", [0], [Request("a")], held, wake=lambda: wakes.append(1)))
    gc.collect()
    assert known() is None
    held.futures[0].set_result([])
    assert wakes == []
