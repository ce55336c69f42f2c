"""Fill-mask equals transformers' own pipeline, for one mask in a text and for several."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from labelstream.workers.classifier import Fault, Fill, MaskFill, RecordError, Request
from labelstream.workers.engine.description import Mask
from labelstream.workers.engine.engine import Engine
from labelstream.workers.engine.ragged import RaggedSequences, ScoredSequences, Scoring, concatenate, split
from labelstream.workers.engine.tasks import task_for
from labelstream.workers.engine.tasks.fill_mask import _places
from labelstream.workers.errors import InferenceError, ModelError
from tests.support.descriptions import DESCRIPTION
from tests.support.fill_mask import OPTIONS, assert_same, expected, masked, oracle
from tests.support.models import FAMILIES, TEXTS, build
from tests.support.parity import BACKENDS, ODD_TEXTS
from tests.support.task_descriptions import FILLS

Folders = Callable[[str], Path]
Calm = Callable[[Path], Path]


@pytest.fixture(scope="module")
def bert(folders: Folders) -> Iterator[Engine]:
    with Engine.load(str(folders("bert")), **OPTIONS) as engine:
        yield engine


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_equals_the_pipeline(folders: Folders, calm: Calm, family: str, backend: str) -> None:
    folder = folders(family)
    mask = oracle(folder).tokenizer.mask_token
    texts = [*(masked(text, mask) for text in TEXTS), *(mask + text for text in ODD_TEXTS), f"{mask} {'good ' * 200}"]
    for dtype, within, where in (("float32", 1e-5, folder), ("bfloat16", 2e-2, calm(folder))):
        options = {**OPTIONS, "dtype": dtype, "backend": backend}
        with Engine.load(str(where), max_batch_tokens=256, **options) as engine:
            answers = engine.classify([Request(text) for text in texts])
        assert_same(where, texts, answers, within)
    assert {len(answer.masks) for answer in answers if isinstance(answer, MaskFill)} >= {1, 2}
    truncated = answers[-1]
    assert isinstance(truncated, MaskFill)
    assert truncated.truncated


@settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(parts=st.lists(st.text(max_size=20), min_size=2, max_size=4))
def test_any_text(folders: Folders, bert: Engine, parts: list[str]) -> None:
    text = "[MASK]".join(parts)
    (answer,) = bert.classify([Request(text)])
    if isinstance(answer, RecordError):
        assert any("\ud800" <= char <= "\udfff" for char in text)
    else:
        assert_same(folders("bert"), [text], [answer])


def test_each_request_gets_its_own_top_k_and_refusal(bert: Engine) -> None:
    requests = [
        Request("a [MASK]", top_k=2),
        Request("no mask"),
        Request("[MASK] [MASK]"),
        Request("good " * 100 + "[MASK]"),
        Request("[MASK]", "a pair"),
        Request("[MASK]", candidate_labels=("x",)),
        Request("[MASK]", multi_label=True),
        Request("[MASK]", top_k=0),
        Request("[MASK]", top_k=10**6),
    ]
    answers = bert.classify(requests)
    filled = {
        i: [len(fills) for fills in answer.masks] for i, answer in enumerate(answers) if isinstance(answer, MaskFill)
    }
    assert filled == {0: [2], 2: [5, 5], 8: [len(bert.description.labels)]}
    problems = {
        i: (answer.fault, answer.message) for i, answer in enumerate(answers) if isinstance(answer, RecordError)
    }
    assert problems == {
        1: (Fault.INVALID_MESSAGE, "the text has no [MASK]"),
        3: (Fault.INVALID_MESSAGE, "the text has no [MASK] in the part that the model reads"),
        4: (Fault.INVALID_MESSAGE, "the task fill-mask takes no text_pair"),
        5: (Fault.INVALID_LABELS, "the task fill-mask takes no candidate_labels"),
        6: (Fault.INVALID_MESSAGE, "the task fill-mask takes no multi_label"),
        7: (Fault.INVALID_MESSAGE, "top_k must be at least 1, not 0"),
    }


def test_head_computes_the_masks_only(bert: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    read: Any = bert._predictor.backend
    shapes: list[tuple[int, ...]] = []
    head = read._read._model.cls
    hook = head.register_forward_pre_hook(lambda _, arguments: shapes.append(tuple(arguments[0].shape)))
    bert.classify([Request("a [MASK] b c d"), Request("[MASK] of several [MASK] words")])
    hook.remove()
    assert sum(shape[0] for shape in shapes) == 3
    assert {shape[1] for shape in shapes} == {1}


def test_targets_follow_their_sequences() -> None:
    ids, lengths = np.arange(9, dtype=np.int32), np.array([2, 3, 4], np.int32)
    packed = RaggedSequences(ids, lengths, targets=np.array([1, 0, 3], np.int32))
    parts = split(packed, 1, 1)
    assert [part.targets.tolist() for part in parts if part.targets is not None] == [[1], [0], [3]]
    joined = concatenate([parts[2], parts[0], RaggedSequences(ids[:1], lengths[:1] // 2)])
    assert joined.targets is not None
    assert joined.targets.tolist() == [3, 1, 0]


def test_target_outside_its_sequence_is_refused(bert: Engine) -> None:
    packed = RaggedSequences(np.array([2, 5, 3], np.int32), np.array([3], np.int32), targets=np.array([3], np.int32))
    with pytest.raises(InferenceError, match="targets lie outside"):
        bert._predictor.predict(packed, 1)


def test_model_without_a_mask_head_is_refused(tmp_path: Path) -> None:
    folder = build(tmp_path / "classifier")
    with pytest.raises(ModelError, match="is not a masked language model, so its head would be random"):
        Engine.load(str(folder), **OPTIONS)


def test_masks_times_top_k_are_bounded() -> None:
    task = task_for(FILLS)
    requests = [Request("[MASK]" * 20, top_k=500), Request("[MASK]" * 20, top_k=501), Request("[MASK] good", top_k=501)]
    prepared = task.prepare(requests)
    assert prepared.rejected == {
        1: RecordError(Fault.INVALID_MESSAGE, "20 masks with a top_k of 501 ask for 10020 tokens; the limit is 10000")
    }
    assert prepared.packed.targets is not None
    assert prepared.packed.targets.tolist() == [*range(1, 21), 1]
    assert prepared.packed.lengths.tolist() == [22] * 20 + [4]
    own = task_for(replace(FILLS, top_k=501)).prepare([requests[1]._replace(top_k=None)])
    assert not own.rejected


def test_call_without_fills_needs_no_model() -> None:
    task = task_for(replace(DESCRIPTION, task="fill-mask", mask=Mask("[MASK]", 4)))
    prepared = task.prepare([Request("no mask")])
    (error,) = prepared.answers(None)
    assert isinstance(error, RecordError)


def test_a_mask_may_be_the_first_token() -> None:
    packed = RaggedSequences(np.array([4, 5, 4, 6, 7, 4], np.int32), np.array([2, 2, 2], np.int32))
    rows, targets = _places(packed, 4)
    assert (rows.tolist(), targets.tolist()) == ([0, 1, 2], [0, 0, 1])


def test_fills_of_another_call_are_refused() -> None:
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


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("family", FAMILIES)
def test_sequences_equal_the_pipelines(folders: Folders, family: str, backend: str) -> None:
    folder = folders(family)
    mask = oracle(folder).tokenizer.mask_token
    texts = [*(masked(text, mask) for text in TEXTS), *(mask + text for text in ODD_TEXTS)]
    with Engine.load(str(folder), max_batch_tokens=256, **{**OPTIONS, "backend": backend}) as engine:
        answers = engine.classify([Request(text, sequences=i % 3 > 0) for i, text in enumerate(texts)])
    for i, (text, answer) in enumerate(zip(texts, answers, strict=True)):
        assert isinstance(answer, MaskFill)
        wanted = tuple(tuple(entry["sequence"] for entry in best) for best in expected(folder, text))
        assert answer.sequences == (wanted if i % 3 else None)


@pytest.mark.parametrize("family", ["bert", "roberta", "albert"])
def test_targets_equal_the_pipelines(folders: Folders, family: str) -> None:
    folder = folders(family)
    pipeline, texts = oracle(folder), [masked(text, oracle(folder).tokenizer.mask_token) for text in TEXTS]
    known = pipeline.tokenizer.convert_ids_to_tokens([60, 70, 80])
    choices = [tuple(known), (known[0], "good"), ("blenders", *known), (known[1],), (known[2], known[2])]
    requests = [
        Request(text, targets=choices[i % len(choices)], top_k=(None, 2, 1)[i % 3], sequences=True)
        for i, text in enumerate(texts)
    ]
    with Engine.load(str(folder), max_batch_tokens=256, **OPTIONS) as engine:
        answers = engine.classify([*requests, Request(texts[0])])
    assert_same(folder, [texts[0]], [answers[-1]])
    for request, answer in zip(requests, answers[:-1], strict=True):
        assert isinstance(answer, MaskFill)
        wanted = pipeline(request.text, top_k=request.top_k or 5, targets=list(request.targets or ()))
        wanted = wanted if isinstance(wanted[0], list) else [wanted]
        for fills, sequences, best in zip(answer.masks, answer.sequences or (), wanted, strict=True):
            assert [fill.token_id for fill in fills] == [entry["token"] for entry in best]
            assert [fill.score for fill in fills] == pytest.approx([entry["score"] for entry in best], abs=1e-5)
            assert list(sequences) == [entry["sequence"] for entry in best]


def test_unknown_targets_are_refused(bert: Engine) -> None:
    answers = bert.classify(
        [Request("[MASK]", targets=targets) for targets in ((), ("good", ""), ("x",) * 1_001, ("\ud800",), ("good",))]
    )
    assert [answer.message if isinstance(answer, RecordError) else "" for answer in answers] == [
        "targets has 0 texts; give 1 to 1000",
        "targets[1] is no token of the model",
        "targets has 1001 texts; give 1 to 1000",
        "the text has a lone surrogate, which UTF-8 cannot hold",
        "",
    ]
    assert {answer.fault for answer in answers[:3] if isinstance(answer, RecordError)} == {Fault.INVALID_LABELS}


def test_label_ids_outside_of_the_model_are_refused(bert: Engine) -> None:
    packed = bert._predictor.good_row
    with pytest.raises(InferenceError, match="label ids lie outside"):
        bert._predictor.predict(packed._replace(scorings={0: Scoring(label_ids=(1_000_000,))}), 1)
