from hypothesis import given
from hypothesis import strategies as st

from workers.engine.shapes import MOST_PADDED_SLOTS, round_count, round_packed, round_padded, round_width


@given(n=st.integers(1, 5_000))
def test_counts_grow_by_less_than_half_and_few_are_left(n: int) -> None:
    assert n <= round_count(n) <= 3 * n // 2
    assert round_count(round_count(n)) == round_count(n)
    assert len({round_count(one) for one in range(1, n + 1)}) <= 2 * n.bit_length()


@given(width=st.integers(1, 600), longest=st.integers(1, 600))
def test_widths_stay_within_the_model(width: int, longest: int) -> None:
    rounded = round_width(width, longest)
    assert width <= rounded <= max(width, longest)
    assert rounded in (width, longest) or rounded % 16 == 0
    assert round_width(rounded, longest) == rounded


def test_a_padded_shape_is_one_of_few() -> None:
    assert round_padded(1, 5, 512) == (1, 16)
    assert round_padded(5, 17, 512) == (6, 32)
    assert round_padded(3, 130, 512) == (3, 192)
    assert round_padded(3, 130, 140) == (3, 140)
    assert round_padded(MOST_PADDED_SLOTS // 32, 32, 512) == (MOST_PADDED_SLOTS // 32, 32)
    assert round_padded(MOST_PADDED_SLOTS // 32 + 1, 32, 512) is None
    shapes = {round_padded(n, width, 512) for n in range(1, 513) for width in range(1, 513)}
    assert len(shapes) < 200


@given(lengths=st.lists(st.integers(1, 512), min_size=1, max_size=300))
def test_a_shape_without_padding_has_room_for_all(lengths: list[int]) -> None:
    tokens, count, longest = round_packed(sum(lengths), len(lengths), max(lengths))
    assert tokens >= sum(lengths)
    assert count >= len(lengths)
    assert longest >= max(lengths)
    assert tokens < max(128, 2 * sum(lengths)) if sum(lengths) <= 1_024 else tokens - sum(lengths) < 1_024
    assert round_packed(tokens, count, longest) == (tokens, count, longest)


def test_full_batches_without_padding_have_one_size() -> None:
    assert {round_packed(tokens, 900, 60)[0] for tokens in range(32_768 - 1_023, 32_769)} == {32_768}
