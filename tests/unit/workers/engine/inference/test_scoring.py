import numpy as np
import pytest
import torch

from labelstream.workers.engine.description import Activation
from labelstream.workers.engine.inference.scoring import score
from labelstream.workers.engine.options import MAX_TEMPERATURE, MIN_TEMPERATURE
from labelstream.workers.engine.ragged import Scoring


def test_scores_of_large_logits_are_finite() -> None:
    logits = torch.tensor([[-1e4, -1e4 + 1.0], [1e4, -1e4], [-300.0, -200.0]])
    for activation in Activation:
        scored = score(logits, activation, 2)
        assert torch.isfinite(scored.scores).all()
        assert scored.finite.all()
    assert score(logits, Activation.SOFTMAX, 1).scores[0].item() == pytest.approx(0.7310586)
    assert score(logits, Activation.SIGMOID, 2).scores[2].tolist() == pytest.approx([0.0, 0.0])


def test_equal_scores_give_the_lower_id_first() -> None:
    # All saturate to 1.0: the pipeline sorts scores, not logits.
    scored = score(torch.tensor([[40.0, 50.0, 30.0, -1.0] * 20]), Activation.SIGMOID, 80)
    assert scored.label_ids is not None
    ids = [i for i in range(80) if i % 4 != 3] + [i for i in range(80) if i % 4 == 3]
    assert scored.label_ids[0].tolist() == ids


def test_scores_are_float32_also_of_half_logits() -> None:
    scored = score(torch.tensor([[1.0, 2.0, 0.5]], dtype=torch.bfloat16), Activation.SOFTMAX, 2)
    assert scored.scores.dtype is torch.float32
    assert scored.label_ids is not None
    assert scored.label_ids.dtype is torch.int32
    expected = np.exp([2.0, 1.0]) / np.exp([1.0, 2.0, 0.5]).sum()
    assert scored.scores[0].tolist() == pytest.approx(expected.tolist(), abs=1e-6)


def test_unranked_scores_are_in_label_order() -> None:
    scored = score(torch.tensor([[1.0, 3.0, 2.0]]), Activation.NONE, None)
    assert scored.label_ids is None
    assert scored.scores.tolist() == [[1.0, 3.0, 2.0]]


def test_score_marks_rows_that_are_not_finite() -> None:
    logits = torch.tensor([[1.0, 2.0], [float("nan"), 0.0], [float("inf"), 0.0], [0.0, float("-inf")]])
    assert score(logits, Activation.SOFTMAX, 1).finite.tolist() == [True, False, False, False]


LOGITS = torch.tensor([[1.0, 3.0, 2.0, 0.0]]).repeat(4, 1)
SCORINGS = {1: Scoring(Activation.NONE), 2: Scoring(Activation.SIGMOID, (0, 3)), 3: Scoring(None, (2,))}


def test_rows_with_scorings_leave_the_others_as_they_are() -> None:
    plain, mixed = score(LOGITS, Activation.SOFTMAX, 4), score(LOGITS, Activation.SOFTMAX, 4, SCORINGS)
    assert plain.label_ids is not None
    assert mixed.label_ids is not None
    assert mixed.scores[0].tolist() == plain.scores[0].tolist()
    assert mixed.label_ids[:2].tolist() == plain.label_ids[:2].tolist()
    assert mixed.scores[1].tolist() == [3.0, 2.0, 1.0, 0.0]
    assert mixed.label_ids[2].tolist()[:2] == [0, 3]
    assert mixed.scores[2].tolist()[:2] == pytest.approx([0.7310586, 0.5])
    assert (mixed.label_ids[3][0], mixed.scores[3][0].item()) == (2, pytest.approx(plain.scores[3][1].item()))
    assert mixed.scores[3][1:].tolist() == [-np.inf] * 3


def test_scorings_change_no_logits() -> None:
    before = LOGITS.clone()
    score(LOGITS, Activation.NONE, None, SCORINGS)
    assert torch.equal(LOGITS, before)


def test_unranked_rows_have_their_scorings() -> None:
    scored = score(LOGITS, Activation.SOFTMAX, None, {0: Scoring(Activation.NONE)})
    assert scored.scores[0].tolist() == [1.0, 3.0, 2.0, 0.0]
    assert scored.scores[1].sum().item() == pytest.approx(1.0)


def test_temperature_divides_logits_before_softmax_and_sigmoid() -> None:
    logits = torch.tensor([[1.0, 3.0, 2.0]])
    for activation, expected in (
        (Activation.SOFTMAX, torch.softmax),
        (Activation.SIGMOID, lambda x, _: torch.sigmoid(x)),
    ):
        for temperature in (0.5, 1.0, 4.0):
            scored = score(logits, activation, None, temperature=temperature)
            assert torch.equal(scored.scores, expected(logits / temperature, -1))


def test_temperature_leaves_logits_as_they_are() -> None:
    scorings = {0: Scoring(Activation.NONE), 1: Scoring(Activation.SIGMOID)}
    scored = score(LOGITS, Activation.SOFTMAX, None, scorings, temperature=2.0)
    assert scored.scores[0].tolist() == LOGITS[0].tolist()
    assert torch.equal(scored.scores[1], torch.sigmoid(LOGITS[1] / 2))
    assert torch.equal(scored.scores[2], torch.softmax(LOGITS[2] / 2, dim=-1))
    assert torch.equal(score(LOGITS, Activation.NONE, None, temperature=2.0).scores, LOGITS)


@pytest.mark.parametrize("temperature", [MIN_TEMPERATURE, MAX_TEMPERATURE])
def test_scores_of_large_logits_are_finite_at_any_temperature(temperature: float) -> None:
    logits = torch.tensor([[-1e4, -1e4 + 1.0], [1e4, -1e4], [0.0, 0.0], [1e30, -1e30]])
    for activation in Activation:
        assert torch.isfinite(score(logits, activation, 2, temperature=temperature).scores).all()
