"""A model that does not answer at all."""

import asyncio

import numpy as np
import pytest

from labelstream.deploy.model_client.failed_attempts import MAX_ALONE
from labelstream.deploy.model_client.serve_client import ServeClient
from labelstream.workers.classifier import Fault, Progress, Request
from labelstream.workers.engine.ragged import RaggedSequences
from labelstream.workers.errors import InferenceError
from tests.support.crashing_replica import innocent
from tests.support.fake_handle import FakeHandle
from tests.support.slow_model import check, connected, insist
from tests.support.slow_replica import SlowHandle


@pytest.mark.usefixtures("fast")
@pytest.mark.parametrize("gone", [True, False], ids=["no replica answers", "the device does not"])
def test_a_model_that_is_away_makes_nobody_a_dead_letter(gone: bool) -> None:
    texts = [innocent(i) for i in range(40)]
    handle = SlowHandle(lambda packed: 0.001)
    with connected(handle, 0.05) as classifier:
        if gone:
            handle.away = True
        else:
            handle._seconds = lambda packed: 3600.0
        progress = Progress()
        for _ in range(2 * MAX_ALONE):
            with pytest.raises(InferenceError, match="no answer within"):
                classifier.submit([Request(text) for text in texts], progress).result(30)
        if gone:
            assert len(classifier._sender._isolation.suspects) == 0
            handle.away = False
        else:
            assert handle._device is not None
            classifier._loop.call_soon_threadsafe(handle._device.cancel)
            handle._seconds = lambda packed: 0.001
        answers, _ = insist(classifier, texts)
    check(texts, answers, Fault.TIMED_OUT)
    assert len(classifier._sender._isolation.suspects) == 0


@pytest.mark.parametrize(("interactive", "keywords"), [(True, {"interactive": True}), (False, {})])
def test_call_says_that_it_is_interactive(interactive: bool, keywords: dict[str, bool]) -> None:
    handle = FakeHandle()
    packed = RaggedSequences(np.zeros(3, np.int32), np.array([3], np.int32))
    asyncio.run(ServeClient("m", handle, interactive).classify(packed, 1, "one"))
    assert handle.keywords == [keywords]
