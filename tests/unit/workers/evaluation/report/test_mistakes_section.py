from dataclasses import replace

import numpy as np

from labelstream.workers.evaluation.predictions import Kind
from labelstream.workers.evaluation.report.mistakes_section import MAX_MISTAKES, confusion_section, mistakes_section
from tests.support.made_predictions import made_predictions, made_regression


def test_mistakes_begin_with_the_surest() -> None:
    made = replace(
        made_predictions(n=3, k=2),
        scores=np.array([[0.7, 0.3], [0.1, 0.9], [0.95, 0.05]]),
        gold=np.array([1, 0, 0]),
        texts=[("first", None), ("second", "pair"), ("x" * 400, None)],
    )
    made_page = mistakes_section(made)
    assert made_page.index("second | pair") < made_page.index("first")
    assert '<td>a</td><td>b</td><td class="number">0.9000</td>' in made_page
    assert "xxx" not in made_page
    assert mistakes_section(replace(made, gold=made.scores.argmax(1))) == ""


def test_mistakes_of_independent_labels_name_the_label() -> None:
    made = replace(
        made_predictions(n=2, k=2, kind=Kind.MULTI_LABEL),
        scores=np.array([[0.9, 0.2], [0.4, 0.1]]),
        gold=np.array([[False, False], [True, False]]),
    )
    page = mistakes_section(made)
    assert "<td>not a</td><td>a</td>" in page
    assert "<td>a</td><td>not a</td>" in page
    assert page.count("<tr>") == 3


def test_mistakes_are_bounded_and_long_texts_cut() -> None:
    made = made_regression()
    page = mistakes_section(replace(made, texts=[("x" * 400, None)] * len(made)))
    assert page.count("x" * 300 + "…") == MAX_MISTAKES
    assert "x" * 301 not in page


def test_confusion_of_independent_labels_counts_four_cases() -> None:
    made = replace(
        made_predictions(n=4, k=1, kind=Kind.MULTI_LABEL),
        scores=np.array([[0.9], [0.8], [0.2], [0.1]]),
        gold=np.array([[True], [False], [True], [False]]),
    )
    assert '<td class="number">1</td>' * 4 in confusion_section(made)
