"""Duplicates among labeled texts."""

from labelstream.workers.evaluation.examples import Duplicates, duplicates_of


def test_duplicates_count_texts_rows_and_contradictions() -> None:
    texts = [("a", None), ("b", None), ("a", None), ("b", "pair"), ("c", None), ("c", None), ("a", None)]
    assert duplicates_of(texts, [1, 1, 1, 1, 0, 1, 1]) == Duplicates(texts=2, rows=5, contradicting=1)


def test_distinct_texts_have_no_duplicates() -> None:
    assert duplicates_of([("a", None), ("a", "b")], [[1], [2]]) == Duplicates(0, 0, 0)
