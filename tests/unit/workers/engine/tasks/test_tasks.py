"""From requests to sequences and back to answers: one bad request never harms another."""

from dataclasses import replace
from string import ascii_letters

import numpy as np
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers

from labelstream.workers.classifier import Embedding, Fault, Fill, MaskFill, Prediction, RecordError, Request
from labelstream.workers.engine.description import Activation, Mask, ZeroShot
from labelstream.workers.engine.ragged import RaggedSequences, ScoredSequences
from labelstream.workers.engine.tasks import task_for
from labelstream.workers.engine.tasks.fill_mask import _places
from labelstream.workers.engine.tasks.postprocess import predictions
from labelstream.workers.errors import ModelError
from tests.support.descriptions import DESCRIPTION

TASK = task_for(DESCRIPTION)


def scored_of(n: int, k: int, errors: dict[int, RecordError] | None = None) -> ScoredSequences:
    ids = np.array([[(row + i) % 3 for i in range(k)] for row in range(n)], np.int32).reshape(n, k)
    scores = np.array([[0.5 / (i + 1) for i in range(k)]] * n, np.float32).reshape(n, k)
    return ScoredSequences(ids, scores, errors or {})


def test_each_request_gets_its_own_top_k() -> None:
    requests = [Request("good"), Request("bad", top_k=1), Request("x", "y", 3), Request("good", top_k=99)]
    prepared = TASK.prepare(requests)
    assert prepared.width == 3
    answers = prepared.answers(scored_of(4, 3))
    assert [one.labels for one in answers if isinstance(one, Prediction)] == [
        ("a", "b"),
        ("b",),
        ("c", "a", "b"),
        ("a", "b", "c"),
    ]
    assert answers[1] == Prediction(("b",), (0.5,), int(prepared.packed.lengths[1]), False, "rev")


def test_two_labels_may_be_independent() -> None:
    task = task_for(replace(DESCRIPTION, labels=("a", "b"), activation=Activation.SIGMOID, top_k=1))
    prepared = task.prepare([Request("good")])
    assert prepared.width == 2
    scored = ScoredSequences(np.array([[1, 0]], np.int32), np.array([[0.9, 0.6]], np.float32), {})
    (answer,) = prepared.answers(scored)
    assert isinstance(answer, Prediction)
    assert (answer.labels, answer.accepted) == (("b", "a"), ("b", "a"))


@pytest.mark.parametrize(("score", "accepted"), [(0.1, ()), (0.5, ("a",))])
def test_a_lone_label_is_independent(score: float, accepted: tuple[str, ...]) -> None:
    task = task_for(replace(DESCRIPTION, labels=("a",), activation=Activation.SIGMOID, top_k=1))
    prepared = task.prepare([Request("good")])
    (answer,) = prepared.answers(ScoredSequences(np.array([[0]], np.int32), np.array([[score]], np.float32), {}))
    assert isinstance(answer, Prediction)
    assert (answer.labels, answer.accepted, answer.abstained) == (("a",), accepted, not accepted)


@pytest.mark.parametrize(
    ("labels", "activation"),
    [
        (("a", "b"), Activation.SOFTMAX),
        (("a",), Activation.NONE),
        (("a", "b"), Activation.NONE),
    ],
)
def test_other_labels_are_not(labels: tuple[str, ...], activation: Activation) -> None:
    """One of them is the answer, however low its score; so many as asked for are reported."""
    task = task_for(replace(DESCRIPTION, labels=labels, activation=activation, top_k=1))
    prepared = task.prepare([Request("good")])
    assert prepared.width == 1
    (answer,) = prepared.answers(ScoredSequences(np.array([[0]], np.int32), np.array([[0.1]], np.float32), {}))
    assert isinstance(answer, Prediction)
    assert (answer.labels, answer.accepted, answer.abstained) == (("a",), None, False)


def test_a_vector_that_there_is_not_is_an_error() -> None:
    task = task_for(replace(DESCRIPTION, task="feature-extraction", labels=(), dimensions=2, ranked=False))
    boom = RecordError(Fault.INFERENCE_FAILED, "boom")
    scored = ScoredSequences(None, np.array([[1.0, 2.0], [np.nan, np.nan]], np.float32), {1: boom})
    good, bad = task.prepare([Request("good"), Request("bad")]).answers(scored)
    assert isinstance(good, Embedding)
    assert bad == boom


def test_fills_of_nothing_need_no_model() -> None:
    task = task_for(replace(DESCRIPTION, task="fill-mask", mask=Mask("[MASK]", 4)))
    prepared = task.prepare([Request("no mask")])
    (error,) = prepared.answers(None)
    assert isinstance(error, RecordError)


def test_what_cannot_be_answered_is_refused_in_its_place() -> None:
    requests = [
        Request("good"),
        Request("x", candidate_labels=("y",)),
        Request("lone \ud800"),
        Request("bad", top_k=0),
        Request("good", "pair \udfff"),
        Request("bad"),
    ]
    prepared = TASK.prepare(requests)
    answers = prepared.answers(scored_of(2, 2))
    faults = [one.fault if isinstance(one, RecordError) else None for one in answers]
    assert faults == [
        None,
        Fault.INVALID_LABELS,
        Fault.INVALID_MESSAGE,
        Fault.INVALID_MESSAGE,
        Fault.INVALID_MESSAGE,
        None,
    ]
    messages = [one.message for one in answers if isinstance(one, RecordError)]
    assert messages[0] == "the task text-classification takes no candidate_labels"
    assert not any("lone" in message or "pair" in message for message in messages)


def test_nothing_left_to_run_needs_no_model() -> None:
    prepared = TASK.prepare([Request("x", candidate_labels=())])
    assert len(prepared.packed.lengths) == 0
    (error,) = prepared.answers(None)
    assert isinstance(error, RecordError)


def test_a_text_without_a_token_is_refused_where_no_special_tokens_are_added() -> None:
    bare = Tokenizer(models.WordLevel({"good": 0, "?": 1}, unk_token="?"))
    bare.pre_tokenizer = pre_tokenizers.Whitespace()
    description = replace(DESCRIPTION, tokenizer_json=bare.to_str())
    prepared = task_for(description).prepare([Request("good"), Request(" "), Request("bad good")])
    assert prepared.packed.ids.tolist() == [0, 1, 0]
    assert prepared.rejected == {1: RecordError(Fault.INVALID_MESSAGE, "the text has no tokens")}
    prepared = task_for(description).prepare([Request("good bad"), Request(" ")])
    assert prepared.rejected.keys() == {1}
    # What has been refused for another reason stays so.
    prepared = task_for(description).prepare([Request(" "), Request(" ", top_k=0)])
    messages = [prepared.rejected[row].message for row in (0, 1)]
    assert messages == ["the text has no tokens", "top_k must be at least 1, not 0"]


def test_rows_that_fail_are_record_errors() -> None:
    boom = RecordError(Fault.INFERENCE_FAILED, "boom", attempts=7)
    answers = predictions(scored_of(3, 2, {1: boom}), "abc", [3] * 3, [False, False, True], [2] * 3, "rev")
    assert answers[1] == boom
    assert answers[2] == Prediction(("c", "a"), (0.5, 0.25), 3, True, "rev")


def test_answers_of_other_sequences_are_refused() -> None:
    prepared = TASK.prepare([Request("good"), Request("bad"), Request("x")])
    for scored in (scored_of(2, 2), scored_of(4, 2), None):
        with pytest.raises(ValueError, match=r"answers for|belong together"):
            prepared.answers(scored)


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


def test_zero_shot_compares_the_labels_or_takes_each_for_itself() -> None:
    task = task_for(NLI)
    logits = logits_of((0, 1, 9), (0, 3, 0), (0, 2, 9))
    best, every = (task.prepare([Request("good", multi_label=multi)]).answers(logits)[0] for multi in (False, True))
    powers = np.exp([3.0, 2.0, 1.0])
    assert isinstance(best, Prediction)
    assert (best.labels, best.accepted, best.abstained) == (("y", "z"), None, False)
    assert best.scores == pytest.approx((powers / powers.sum())[:2])
    assert isinstance(every, Prediction)
    assert every.labels == every.accepted == ("y", "z", "x")  # two were asked for, and all are likelier than not
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


def test_labels_that_are_as_likely_keep_their_order() -> None:
    labels = tuple(ascii_letters)
    prepared = task_for(NLI).prepare([Request("good", candidate_labels=labels, hypothesis_template="{}", top_k=60)])
    (answer,) = prepared.answers(logits_of(*[(0.0, float(i >= 26), 0.0) for i in range(52)]))
    assert isinstance(answer, Prediction)
    assert answer.labels == labels[26:] + labels[:26]


def test_labels_that_are_independent_do_not_drown_each_other() -> None:
    prepared = task_for(NLI).prepare([Request("good", candidate_labels=("a", "b", "c"), multi_label=True, top_k=3)])
    (answer,) = prepared.answers(logits_of((2_000, 2_001, 2_000), (-2_000, -2_001, -2_000), (5_000, 0, 0)))
    assert isinstance(answer, Prediction)
    assert answer.scores == pytest.approx((1 / (1 + np.exp(-1)), 1 / (1 + np.exp(1)), 0.0))


def test_a_mask_may_be_the_first_token() -> None:
    packed = RaggedSequences(np.array([4, 5, 4, 6, 7, 4], np.int32), np.array([2, 2, 2], np.int32))
    rows, targets = _places(packed, 4)
    assert (rows.tolist(), targets.tolist()) == ([0, 1, 2], [0, 0, 1])


def test_a_pair_that_fails_is_its_texts_fault_alone() -> None:
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


def test_a_hypothesis_must_leave_room_for_one_token_of_the_text() -> None:
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
    labels = ("a " * 12, "a")  # the text is cut beside the first one alone
    (either,) = task.prepare([Request("good bad", candidate_labels=labels, hypothesis_template="{}")]).answers(
        logits_of((0, 0, 0), (0, 0, 0))
    )
    assert isinstance(either, Prediction)
    assert either.truncated


def test_a_vector_of_length_zero_stays_so() -> None:
    description = replace(DESCRIPTION, task="feature-extraction", labels=(), ranked=False, dimensions=2, normalize=True)
    error = RecordError(Fault.INFERENCE_FAILED, "x")
    prepared = task_for(description).prepare([Request("good"), Request("bad"), Request("x " * 99)])
    assert prepared.width == 2
    vectors = ScoredSequences(None, np.array([[0, 0], [3, 4], [np.nan, 1]], np.float32), {2: error})
    zero, five, failed = prepared.answers(vectors)
    assert (zero, failed) == (Embedding((0.0, 0.0), 3, False, "rev"), error)
    assert isinstance(five, Embedding)
    assert five.vector == pytest.approx((0.6, 0.8))


def test_fills_of_other_masks_are_refused() -> None:
    description = replace(DESCRIPTION, task="fill-mask", labels=tuple("abcdefgh"), mask=Mask("[MASK]", 4))
    error = RecordError(Fault.INFERENCE_FAILED, "x")
    prepared = task_for(description).prepare([Request("[MASK] [MASK]", top_k=1), Request("[MASK]")])
    assert prepared.width == 2
    assert prepared.packed.targets is not None
    assert prepared.packed.targets.tolist() == [1, 2, 1]
    scored = ScoredSequences(np.array([[1, 2], [3, 4], [5, 6]], np.int32), np.ones((3, 2), np.float32), {})
    first, second = prepared.answers(scored)
    assert first == MaskFill(((Fill("b", 1, 1.0),), (Fill("d", 3, 1.0),)), 8, False, "rev")
    assert second == MaskFill(((Fill("f", 5, 1.0), Fill("g", 6, 1.0)),), 3, False, "rev")
    assert prepared.answers(scored._replace(errors={1: error}))[0] == error
    for wrong in (
        scored._replace(label_ids=None),
        scored._replace(scores=scored.scores[:2]),
        ScoredSequences(np.zeros((2, 2), np.int32), np.ones((2, 2), np.float32), {}),
    ):
        with pytest.raises(ValueError, match="answers for 3 masks"):
            prepared.answers(wrong)


@pytest.mark.parametrize(
    ("task", "problem"),
    [("fill-mask", "no mask token"), ("zero-shot-classification", "no labels of natural language inference")],
)
def test_a_description_that_lacks_what_its_task_needs_is_refused(task: str, problem: str) -> None:
    with pytest.raises(ModelError, match=problem):
        task_for(replace(DESCRIPTION, task=task))
