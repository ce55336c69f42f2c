"""How many calls keep replicas busy."""

from hypothesis import given
from hypothesis import strategies as st

from labelstream.deploy.control.scaling.concurrency import CALLS_PER_REPLICA, MIN_CALLS, calls_per_worker

COUNTS = st.integers(0, 1_000)


@given(replicas=COUNTS, first=COUNTS, second=COUNTS)
def test_all_workers_together_keep_enough_open(replicas: int, first: int, second: int) -> None:
    calls = calls_per_worker({"p": ["m"], "q": ["m"]}, {"m": replicas}, {"p": first, "q": second})
    assert min(calls.values()) >= MIN_CALLS
    if first + second:
        assert calls["p"] * first + calls["q"] * second >= CALLS_PER_REPLICA * replicas
        assert calls["p"] <= max(MIN_CALLS, CALLS_PER_REPLICA * replicas / (first + second) + 1)


def test_a_pipeline_of_several_models_keeps_each_busy() -> None:
    calls = calls_per_worker({"p": ["m", "n"], "q": ["n"]}, {"m": 4, "n": 6}, {"p": 2, "q": 1})
    assert calls == {"p": 6 + 6, "q": 6}


def test_without_replicas_or_workers_there_is_room_to_begin() -> None:
    assert calls_per_worker({"p": ["m"]}, {}, {}) == {"p": MIN_CALLS}
