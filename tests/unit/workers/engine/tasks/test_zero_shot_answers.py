"""Zero-shot answers, from the logits of each pair of text and hypothesis."""

from dataclasses import replace
from string import ascii_letters

import numpy as np
import pytest

from labelstream.workers.classifier import Fault, Prediction, RecordError, Request
from labelstream.workers.engine.description import ZeroShot
from labelstream.workers.engine.ragged import ScoredSequences
from labelstream.workers.engine.tasks import task_for
from tests.support.descriptions import DESCRIPTION

NLI = replace(
    DESCRIPTION,
    task="zero-shot-classification",
    labels=("contradiction", "entailment", "neutral"),
    ranked=False,
    zero_shot=ZeroShot(1, 0, ("x", "y", "z")),
    top_k=2,
)


def logits_of(*rows: tuple[float, float, float], errors: dict[int, RecordError] | None = None) -> ScoredSequences:
    return ScoredSequences(None, np.array(rows, np.float32), errors or {})


def test_zero_shot_scores_labels_jointly_or_separately() -> None:
    task = task_for(NLI)
    logits = logits_of((0, 1, 9), (0, 3, 0), (0, 2, 9))
    best, every = (task.prepare([Request("good", multi_label=multi)]).answers(logits)[0] for multi in (False, True))
    powers = np.exp([3.0, 2.0, 1.0])
    assert isinstance(best, Prediction)
    assert (best.labels, best.accepted, best.abstained) == (("y", "z"), None, False)
    assert best.scores == pytest.approx((powers / powers.sum())[:2])
    assert isinstance(every, Prediction)
    assert every.labels == every.accepted == ("y", "z", "x")  # top_k is 2, and all three labels are above 0.5
    assert every.scores == pytest.approx(1 / (1 + np.exp([-3.0, -2.0, -1.0])))


@pytest.mark.parametrize(
    ("multi_label", "threshold", "thresholds", "accepted", "shown"),
    [
        (False, 0.6, {}, ("y",), 2),
        (False, 0.7, {}, (), 2),
        (False, None, {"y": 0.7}, (), 2),
        (False, None, {"x": 0.7}, ("y",), 2),
        (True, 0.9, {}, ("y",), 2),
        (True, 0.96, {}, (), 2),
        (True, 0.96, {"x": 0.7}, ("x",), 3),
    ],
)
def test_zero_shot_abstains_below_its_thresholds(
    multi_label: bool, threshold: float | None, thresholds: dict[str, float], accepted: tuple[str, ...], shown: int
) -> None:
    task = task_for(replace(NLI, threshold=threshold, thresholds=thresholds))
    prepared = task.prepare([Request("good", multi_label=multi_label)])
    (answer,) = prepared.answers(logits_of((0, 1, 9), (0, 3, 0), (0, 2, 9)))
    assert isinstance(answer, Prediction)
    assert (answer.accepted, len(answer.labels), len(answer.scores)) == (accepted, shown, shown)


def test_zero_shot_temperature_divides_the_logits() -> None:
    task = task_for(replace(NLI, temperature=2.0))
    logits = logits_of((0, 1, 9), (0, 3, 0), (0, 2, 9))
    best, every = (task.prepare([Request("good", multi_label=multi)]).answers(logits)[0] for multi in (False, True))
    powers = np.exp([1.5, 1.0, 0.5])
    assert isinstance(best, Prediction)
    assert best.scores == pytest.approx((powers / powers.sum())[:2])
    assert isinstance(every, Prediction)
    assert every.scores == pytest.approx(1 / (1 + np.exp([-1.5, -1.0, -0.5])))
    assert logits.scores.tolist() == [[0, 1, 9], [0, 3, 0], [0, 2, 9]]


def test_equally_likely_labels_keep_their_order() -> None:
    labels = tuple(ascii_letters)
    prepared = task_for(NLI).prepare([Request("good", candidate_labels=labels, hypothesis_template="{}", top_k=60)])
    (answer,) = prepared.answers(logits_of(*[(0.0, float(i >= 26), 0.0) for i in range(52)]))
    assert isinstance(answer, Prediction)
    assert answer.labels == labels[26:] + labels[:26]


def test_independent_labels_may_all_score_high() -> None:
    prepared = task_for(NLI).prepare([Request("good", candidate_labels=("a", "b", "c"), multi_label=True, top_k=3)])
    (answer,) = prepared.answers(logits_of((2_000, 2_001, 2_000), (-2_000, -2_001, -2_000), (5_000, 0, 0)))
    assert isinstance(answer, Prediction)
    assert answer.scores == pytest.approx((1 / (1 + np.exp(-1)), 1 / (1 + np.exp(1)), 0.0))


def test_failed_pair_fails_its_text_only() -> None:
    first, second = RecordError(Fault.INFERENCE_FAILED, "1"), RecordError(Fault.INFERENCE_FAILED, "2")
    requests = [Request("good"), Request("bad", candidate_labels=("a", "b")), Request("good", candidate_labels=("a",))]
    prepared = task_for(NLI).prepare(requests)
    assert prepared.width == 3
    assert len(prepared.packed.lengths) == 6
    rows: list[tuple[float, float, float]] = [(0, 0, 0)] * 6
    answers = prepared.answers(logits_of(*rows, errors={4: second, 3: first, 5: second}))
    assert isinstance(answers[0], Prediction)
    assert answers[0].tokens == prepared.packed.lengths[:3].sum()
    assert answers[1:] == [first, second]
    for wrong in (logits_of(*rows[:5]), logits_of(*rows, (0, 0, 0))):
        with pytest.raises(ValueError, match="answers for the pairs of 3 texts"):
            prepared.answers(wrong)


def test_hypothesis_without_room_for_the_text_is_refused() -> None:
    task = task_for(NLI)  # 16 tokens: 3 special ones, 12 of the hypothesis, 1 of the text
    just, over = (
        task.prepare([Request("good bad", candidate_labels=("a " * n,), hypothesis_template="{}")]) for n in (12, 13)
    )
    assert just.packed.lengths.tolist() == [16]
    assert over.rejected == {0: RecordError(Fault.INVALID_LABELS, "a hypothesis leaves no room for the text")}
    (answer,) = just.answers(logits_of((0, 0, 0)))
    assert isinstance(answer, Prediction)
    assert answer.truncated
    (whole,) = task.prepare([Request("good", candidate_labels=("a " * 12,), hypothesis_template="{}")]).answers(
        logits_of((0, 0, 0))
    )
    assert isinstance(whole, Prediction)
    assert not whole.truncated
    labels = ("a " * 12, "a")  # only beside the first label is the text truncated
    (either,) = task.prepare([Request("good bad", candidate_labels=labels, hypothesis_template="{}")]).answers(
        logits_of((0, 0, 0), (0, 0, 0))
    )
    assert isinstance(either, Prediction)
    assert either.truncated


def test_order_is_that_of_the_labels_as_they_were_named() -> None:
    task = task_for(replace(NLI, in_model_order=True, zero_shot=ZeroShot(1, 0, ("z", "y", "x"))))
    (answer,) = task.prepare([Request("good")]).answers(logits_of((0, 1, 9), (0, 3, 0), (0, 2, 9)))
    assert isinstance(answer, Prediction)
    assert (answer.labels, answer.order) == (("y", "x"), (0, 1))
    (answer,) = task.prepare([Request("good")]).answers(logits_of((0, 2, 9), (0, 3, 0), (0, 1, 9)))
    assert isinstance(answer, Prediction)
    assert (answer.labels, answer.order) == (("y", "z"), (1, 0))
