"""Each call is resolved, whatever the callbacks of others do, with an error that keeps nothing alive."""

from concurrent.futures import Future

from labelstream.workers.engine.batching.lanes import Call
from labelstream.workers.engine.batching.settlement import plain, settle, settle_bug
from labelstream.workers.engine.ragged import ScoredSequences
from labelstream.workers.errors import InferenceError
from tests.support.fake_handle import by_length
from tests.support.forward_device import packed


def calls(count: int) -> list[Call]:
    return [Call(packed(2), 1, 0.0, Future()) for _ in range(count)]


def ends_the_process(future: "Future[ScoredSequences]") -> None:
    raise SystemExit


def test_callback_that_raises_reaches_no_other_call() -> None:
    first, second, third = calls(3)
    answer, error = by_length(packed(2), 1, ""), InferenceError("unlucky")
    given_up = third.future.cancel()
    first.future.add_done_callback(ends_the_process)
    settle([first, third, second], [answer, answer, error])
    assert first.future.result(0) is answer
    assert second.future.exception(0) is error
    assert given_up
    assert third.future.cancelled()


def test_any_error_resolves_all_calls() -> None:
    some = calls(2)
    settle_bug(some, KeyError("no such key"))
    assert [str(call.future.exception(0)) for call in some] == ["BUG: KeyError('no such key')"] * 2


def test_plain_error_is_a_copy() -> None:
    error = InferenceError("unlucky")
    assert plain(error) is not error
    assert str(plain(error)) == "unlucky"
    assert len(str(plain(ValueError("x" * 1_000)))) == 300
