"""McNemar's exact test, and the texts on which two models differ."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import binom

from labelstream.workers.evaluation.comparison import compare, mcnemar, predicted_labels, true_labels
from tests.support.evaluated import multi_label, regression, single_label


@pytest.mark.parametrize(("first", "second"), [(3, 12), (12, 3), (0, 5), (7, 7), (40, 60)])
def test_mcnemar_is_two_sided_binomial_test(first: int, second: int) -> None:
    wanted = min(1.0, 2 * binom.cdf(min(first, second), first + second, 0.5))
    assert mcnemar(first, second) == pytest.approx(wanted, abs=1e-12)


def test_mcnemar_without_discordant_texts_is_one() -> None:
    assert mcnemar(0, 0) == 1.0


def test_compare_counts_texts_that_one_model_gets_right() -> None:
    first = single_label()
    second = replace(first, scores=first.scores[:, ::-1], labels=first.labels)
    found = compare(first, second)
    right, too = first.scores.argmax(1) == first.gold, second.scores.argmax(1) == first.gold
    assert found.differ.tolist() == np.flatnonzero(first.scores.argmax(1) != second.scores.argmax(1)).tolist()
    assert (found.only_first, found.only_second) == ((right & ~too).sum(), (too & ~right).sum())
    assert found.p_value == mcnemar(found.only_first, found.only_second)


def test_compare_matches_labels_by_name() -> None:
    first = single_label()
    flipped = replace(
        first, labels=first.labels[::-1], gold=len(first.labels) - 1 - first.gold, scores=first.scores[:, ::-1]
    )
    found = compare(first, flipped)
    assert (len(found.differ), found.only_first, found.only_second, found.p_value) == (0, 0, 0, 1.0)


def test_compare_of_multi_label_takes_exact_matches() -> None:
    first = multi_label()
    found = compare(first, replace(first, scores=first.gold.astype(float)))
    wrong = int(((first.scores >= 0.5) != first.gold).any(1).sum())
    assert (len(found.differ), found.only_first, found.only_second) == (wrong, 0, wrong)


def test_compare_of_regression_has_no_test() -> None:
    first = regression()
    scores = first.scores.copy()
    scores[3] += 1.0
    found = compare(first, replace(first, scores=scores))
    assert (found.differ.tolist(), found.p_value) == ([3], None)


def test_compare_of_other_texts_is_a_bug() -> None:
    with pytest.raises(ValueError, match="do not belong together"):
        compare(single_label(), single_label(n=3))


def test_labels_by_name() -> None:
    predictions = multi_label(n=1, labels=("a", "b"))
    predictions = replace(predictions, gold=np.array([[True, True]]), scores=np.array([[0.5, 0.49]]))
    assert (true_labels(predictions), predicted_labels(predictions)) == ([("a", "b")], [("a",)])


def test_labels_in_another_case_or_order_do_not_differ() -> None:
    made = single_label(labels=("a", "b"))
    assert len(compare(made, replace(made, labels=("A", "B"))).differ) == 0
    assert len(compare(made, replace(made, labels=("a", "A"))).differ) > 0
    several = multi_label()
    order = np.arange(len(several.labels))[::-1]
    turned = replace(
        several,
        labels=several.labels[::-1],
        gold=several.gold[:, order],
        scores=several.scores[:, order],
        accepted=None if several.accepted is None else several.accepted[:, order],
    )
    assert len(compare(several, turned).differ) == 0
