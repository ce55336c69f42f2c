"""The two halves of the texts."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labelstream.workers.evaluation.fitting import split
from labelstream.workers.evaluation.fitting.split import fitting_half, near_duplicates

TEXTS = st.text(max_size=30)


@given(TEXTS, TEXTS)
def test_both_orders_of_a_pair_are_in_one_half(text: str, pair: str) -> None:
    first, second = fitting_half([(text, pair), (pair, text)])
    assert first == second


@given(st.lists(st.text("abcXYZ", min_size=1, max_size=5), min_size=1, max_size=8), st.randoms())
def test_texts_of_the_same_words_are_in_one_half(words: list[str], random: "np.random.Generator") -> None:
    other = [word.upper() for word in words]
    random.shuffle(other)
    halves = fitting_half([(" ".join(words), None), (", ".join(other) + "!", None), (" ".join(words), "")])
    assert len(set(halves.tolist())) == 1


def test_halves_have_about_the_same_number_of_texts() -> None:
    half = fitting_half([(f"text {i}", None) for i in range(2_000)])
    assert 900 < half.sum() < 1_100
    assert 20 < fitting_half([("🙂" * (i + 1), None) for i in range(100)]).sum() < 80


def test_half_of_a_text_never_changes() -> None:
    texts = [("good", None), ("\ud800", None), ("", None), ("x y", "z"), ("y", "x, Z!")]
    assert fitting_half(texts).tolist() == [True, True, True, False, False]


def test_near_duplicates_share_most_words() -> None:
    texts = [("the red car is fast", None), ("the red car is very fast", None), ("the blue sky", None), ("🙂", None)]
    assert near_duplicates(texts, np.array([True, False, False, False])) == 1
    assert near_duplicates(texts, np.array([True, True, True, False])) == 0
    assert near_duplicates(texts, np.zeros(4, np.bool_)) == 0
    assert near_duplicates([("🙂", None)] * 2, np.array([True, False])) == 1


def test_many_texts_are_not_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(split, "MAX_COMPARED", 1)
    assert near_duplicates([("a b", None)] * 2, np.array([True, False])) is None
