"""Interactive calls go first, in order, and get no more than their share beside the stream."""

from concurrent.futures import Future

from hypothesis import given, settings
from hypothesis import strategies as st

from labelstream.workers.engine.batching.lanes import IN_USE_S, INTERACTIVE_SHARE, Call, Lanes
from tests.support.forward_device import packed

FULL = 100


def call(tokens: int, interactive: bool = False, arrived: float = 0.0) -> Call:
    return Call(packed(tokens), 1, arrived, Future(), interactive)


def lanes(*calls: Call) -> Lanes:
    made = Lanes()
    for each in calls:
        made.add(each)
    return made


def tokens(calls: list[Call]) -> list[int]:
    return [each.tokens for each in calls]


def test_batch_takes_calls_in_order_up_to_its_tokens() -> None:
    made = lanes(call(60), call(40), call(1), call(500), call(2))
    assert [tokens(made.take(FULL)) for _ in range(5)] == [[60, 40], [1], [500], [2], []]
    assert not made


def test_interactive_call_goes_before_the_stream() -> None:
    made = lanes(call(60), call(50), call(3, interactive=True))
    assert tokens(made.take(FULL)) == [3]
    assert tokens(made.take(FULL)) == [60]


def test_interactive_call_runs_after_the_next_forward() -> None:
    made = lanes(call(60), call(50))
    assert tokens(made.take(FULL)) == [60]
    assert made.take_after_forward(30) == []
    made.add(call(5, interactive=True))
    assert tokens(made.take_after_forward(30)) == [5]
    assert made.take_after_forward(30) == []


def test_interactive_calls_are_joined_up_to_one_forward() -> None:
    made = lanes(call(FULL), *(call(10, interactive=True) for _ in range(5)))
    assert tokens(made.take(FULL)) == [10]  # no forward of the stream has shown its size
    assert tokens(made.take(FULL)) == [FULL]
    assert tokens(made.take_after_forward(25)) == [10, 10]
    assert tokens(made.take_after_forward(25)) == [10, 10]


def test_large_interactive_call_waits_until_its_share_is_paid() -> None:
    made = lanes(call(FULL), call(45, interactive=True), call(5, interactive=True))
    assert tokens(made.take(FULL)) == [45]
    assert tokens(made.take(FULL)) == [FULL]
    assert made.take_after_forward(20) == []
    assert made.take_after_forward(20) == []
    assert tokens(made.take_after_forward(20)) == [5]


def test_failed_batch_of_the_stream_pays_as_well() -> None:
    made = lanes(call(50), call(50), call(50), *(call(50, interactive=True) for _ in range(3)))
    assert [tokens(made.take(50)) for _ in range(6)] == [[50]] * 6  # without a word from any forward


def test_interactive_calls_alone_fill_a_batch() -> None:
    made = lanes(*(call(40, interactive=True) for _ in range(3)))
    assert tokens(made.take(FULL)) == [40, 40]


def test_cancelled_calls_are_dropped_without_a_share() -> None:
    gone, kept, stream = call(90, interactive=True), call(20, interactive=True), call(5)
    gone_too = call(70)
    made = lanes(gone, kept, gone_too, stream)
    assert gone.future.cancel()
    assert gone_too.future.cancel()
    assert tokens(made.take(FULL)) == [20]
    assert tokens(made.take(FULL)) == [5]
    assert made.tokens == 0


def test_interactive_calls_run_if_all_of_the_stream_is_cancelled() -> None:
    gone = call(50)
    made = lanes(call(10, interactive=True), gone, call(20, interactive=True))
    assert tokens(made.take(FULL)) == [10]
    assert gone.future.cancel()
    assert tokens(made.take(FULL)) == [20]


def test_oldest_tokens_and_clear_see_both_lanes() -> None:
    made = lanes(call(3, arrived=7.0), call(4, interactive=True, arrived=5.0))
    assert (made.oldest, made.tokens, bool(made)) == (5.0, 7, True)
    assert tokens(made.clear()) == [3, 4]
    assert (made.tokens, bool(made)) == (0, False)


def test_lane_is_in_use_for_a_while_after_a_call() -> None:
    made = lanes(call(3))
    assert not made.in_use(0.0)
    made.add(call(4, interactive=True, arrived=5.0))
    made.take(FULL)
    assert made.in_use(5.0 + IN_USE_S - 0.1)
    assert not made.in_use(5.0 + IN_USE_S)


@given(
    interactive=st.lists(st.integers(1, 80), max_size=60),
    stream=st.lists(st.integers(1, 80), min_size=1, max_size=60),
    forward=st.integers(5, 60),
)
@settings(deadline=None, derandomize=True, max_examples=200)
def test_share_is_never_exceeded_and_order_is_kept(interactive: list[int], stream: list[int], forward: int) -> None:
    calls = [*(call(n) for n in stream), *(call(n, interactive=True) for n in interactive)]
    made, bound = lanes(*calls), INTERACTIVE_SHARE / (1 - INTERACTIVE_SHARE)
    ran: dict[bool, list[Call]] = {False: [], True: []}
    stream_tokens, largest = 0.0, 0

    def run(batch: list[Call]) -> None:
        nonlocal largest
        ran[batch[0].interactive] += batch
        largest = max(largest, sum(tokens(batch)))

    def check() -> None:
        assert sum(tokens(ran[True])) <= bound * stream_tokens + largest

    while len(ran[False]) < len(stream):
        batch = made.take(FULL)
        assert batch
        run(batch)
        if batch[0].interactive:
            check()
            continue
        left = sum(tokens(batch))
        while left:
            done = min(forward, left)
            left, stream_tokens = left - done, stream_tokens + done
            if between := made.take_after_forward(done):
                run(between)
                assert sum(tokens(between)) <= max(bound * done, max(tokens(between)))
                check()
    while made:
        run(made.take(FULL))
    assert [id(each) for each in ran[False] + ran[True]] == [id(each) for each in calls]
