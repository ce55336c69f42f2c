from dataclasses import replace

import numpy as np

from labelstream.workers.evaluation.report.plots import MAX_CURVES
from labelstream.workers.evaluation.report.scores_section import curves_section, histograms_section
from tests.support.made_predictions import made_predictions


def test_sections_say_which_labels_are_left_out() -> None:
    made = made_predictions(k=9)
    assert f"The {MAX_CURVES} most frequent of 9 labels." in curves_section(made, None)
    assert "most frequent" not in histograms_section(made, None)
    assert histograms_section(made, None).count("<svg") == 9


def test_labels_without_texts_have_no_curve() -> None:
    made = replace(made_predictions(), gold=np.zeros(600, np.int64))
    section = curves_section(made, None)
    assert 'Precision against recall: a"' in section
    assert '<th scope="row">c</th><td class="number">0</td><td class="number">-</td>' in section
