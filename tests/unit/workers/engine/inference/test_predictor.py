"""Batches, order, and who is to blame when the model raises: tested on backends that fail on purpose."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers.processors import TemplateProcessing

from labelstream.workers.classifier import Fault, RecordError, Request
from labelstream.workers.engine.description import Activation, ModelDescription, ZeroShot
from labelstream.workers.engine.inference.backend import done_already
from labelstream.workers.engine.inference.batching import PaddedBatch
from labelstream.workers.engine.inference.predictor import Predictor
from labelstream.workers.engine.ragged import RaggedSequences
from labelstream.workers.engine.tokenization.tokenizer import TextTokenizer
from labelstream.workers.errors import InferenceError, ModelError
from tests.support.models import make_tokenizer

POISON, NAN, VOCAB = 390, 391, 400
DESCRIPTION = ModelDescription(
    "m",
    "r",
    "text-classification",
    tuple("abcde"),
    Activation.NONE,
    64,
    5,
    make_tokenizer("bert").backend_tokenizer.to_str(),
)


class FakeBackend:
    """Logits are [first id, second id or -1, length, 0, 0]; `fails` decides per batch. Remembers shapes."""

    device_type = "cpu"
    dtype = torch.float32
    pad_id = 0
    vocab_size = VOCAB
    type_vocab_size: int | None = 2

    def __init__(self, fails: Callable[[PaddedBatch], Exception | None] = lambda batch: None) -> None:
        self.fails, self.shapes, self.freed = fails, [], 0

    def logits(self, batch: PaddedBatch) -> torch.Tensor:
        self.shapes.append(batch.ids.shape)
        if (error := self.fails(batch)) is not None:
            raise error
        logits = torch.zeros(len(batch.ids), 5)
        logits[:, 0] = torch.from_numpy(batch.ids[:, 0]).float()
        logits[:, 2] = torch.from_numpy(batch.lengths).float()
        logits[torch.from_numpy((batch.ids == NAN).any(1))] = float("nan")
        return logits

    def mark(self) -> Callable[[], None]:
        return done_already

    def memory(self) -> dict[str, int]:
        return {}

    def free_memory(self) -> None:
        self.freed += 1


def pack(rows: Iterable[list[int]]) -> RaggedSequences:
    listed = list(rows)
    ids = np.array([token for row in listed for token in row], np.int32)
    return RaggedSequences(ids, np.array([len(row) for row in listed], np.int32))


def failed(message: str, attempts: int = 1) -> RecordError:
    return RecordError(Fault.INFERENCE_FAILED, message, attempts)


def on_poison(batch: PaddedBatch) -> Exception | None:
    return ValueError("poison\nsecond line") if (batch.ids == POISON).any() else None


@given(
    lengths=st.lists(st.integers(1, 64), min_size=1, max_size=50), budget=st.integers(1, 300), top_k=st.integers(1, 9)
)
@settings(deadline=None, derandomize=True, max_examples=60)
def test_answers_are_in_the_order_of_the_input(lengths: list[int], budget: int, top_k: int) -> None:
    packed = pack([200 + i] * n for i, n in enumerate(lengths))
    scored = Predictor(DESCRIPTION, FakeBackend(), budget).predict(packed, top_k)
    assert scored.label_ids is not None
    assert scored.label_ids.shape == scored.scores.shape == (len(lengths), min(top_k, 5))
    assert scored.label_ids.dtype == np.int32
    assert scored.scores.dtype == np.float32
    assert scored.scores[:, 0].tolist() == [200 + i for i in range(len(lengths))]
    assert scored.errors == {}
    if top_k > 1:
        assert scored.scores[:, 1].tolist() == lengths


@given(poisoned=st.sets(st.integers(0, 39), max_size=5), budget=st.sampled_from([8, 64, 1024]))
@settings(deadline=None, derandomize=True, max_examples=30)
def test_bisecting_leaves_only_the_poisoned_rows(poisoned: set[int], budget: int) -> None:
    packed = pack([POISON if i in poisoned else 200 + i, 5] for i in range(40))
    scored = Predictor(DESCRIPTION, FakeBackend(on_poison), budget).predict(packed, 1)
    assert {row: error._replace(attempts=1) for row, error in scored.errors.items()} == dict.fromkeys(
        poisoned, failed("ValueError: poison")
    )
    for i in range(40):
        assert np.isnan(scored.scores[i, 0]) if i in poisoned else scored.scores[i, 0] == 200 + i


def test_a_poisoned_row_alone_is_at_fault_when_a_good_row_passes() -> None:
    scored = Predictor(DESCRIPTION, FakeBackend(on_poison)).predict(pack([[POISON]]), 1)
    assert scored.errors == {0: failed("ValueError: poison")}


def test_calls_that_are_begun_before_others_end_keep_their_answers() -> None:
    backend = FakeBackend()
    predictor = Predictor(DESCRIPTION, backend, 64)
    first = predictor.begin(pack([[200], [201] * 3]), 1)
    second = predictor.begin(pack([[202, 5], [NAN]]), 2)
    assert backend.shapes == [(2, 3), (2, 2)]  # the device has all its work
    assert first().scores[:, 0].tolist() == [200, 201]
    scored = second()
    assert scored.scores[0].tolist() == [202, 2]
    assert scored.errors == {1: failed("the model's logits are not finite")}


class Device(FakeBackend):
    """Numbers its work; a mark knows what was begun before it, and that alone can be waited for."""

    def __init__(self) -> None:
        super().__init__()
        self.begun, self.waited_for = 0, []

    def logits(self, batch: PaddedBatch) -> torch.Tensor:
        self.begun += 1
        return super().logits(batch)

    def mark(self) -> Callable[[], None]:
        return partial(self.waited_for.append, self.begun)


def test_a_calls_answers_do_not_wait_for_the_next_call() -> None:
    device = Device()
    predictor = Predictor(DESCRIPTION, device, 4)
    first = predictor.begin(pack([[200], [201], [202] * 4]), 1)  # two forwards
    second = predictor.begin(pack([[203]]), 1)
    assert (device.begun, device.waited_for) == (3, [])  # nothing is waited for while work is given
    assert first().scores[:, 0].tolist() == [200, 201, 202]
    assert device.waited_for == [2]  # the first call's own two, though three are under way
    assert second().scores[:, 0].tolist() == [203]
    assert device.waited_for == [2, 3]


def test_what_the_device_raises_late_is_no_records_fault() -> None:
    class Broken(FakeBackend):
        def mark(self) -> Callable[[], None]:
            def wait() -> None:
                raise RuntimeError("CUDA error: an illegal memory access was encountered")

            return wait

    answers = Predictor(DESCRIPTION, Broken(), 64).begin(pack([[200]]), 1)
    with pytest.raises(InferenceError, match="answers were lost: RuntimeError: CUDA error: an illegal memory"):
        answers()


def test_attempts_are_how_often_the_model_got_the_row() -> None:
    backend = FakeBackend(on_poison)
    packed = pack([POISON if i == 6 else 200 + i] for i in range(8))
    scored = Predictor(DESCRIPTION, backend, 1024).predict(packed, 1)
    assert [shape[0] for shape in backend.shapes if shape[0] > 1] == [8, 4, 4, 2, 2]  # the others are the probe's
    assert scored.errors == {6: failed("ValueError: poison", attempts=4)}
    assert type(scored.errors[6].attempts) is int  # it travels: no numpy, whose pickles are large


@pytest.mark.parametrize("count", [1, 7])
def test_a_model_that_fails_on_everything_is_not_the_records_fault(count: int) -> None:
    predictor = Predictor(DESCRIPTION, FakeBackend(lambda batch: RuntimeError("CUDA error: device-side assert")))
    with pytest.raises(InferenceError, match="fails on any text: RuntimeError: CUDA error"):
        predictor.predict(pack([[1, 2]] * count), 1)
    with pytest.raises(InferenceError):
        predictor.probe()


def test_logits_that_are_not_finite_are_no_label() -> None:
    scored = Predictor(DESCRIPTION, FakeBackend()).predict(pack([[200], [NAN], [202]]), 2)
    assert scored.errors == {1: failed("the model's logits are not finite")}
    assert np.isnan(scored.scores[1]).all()
    assert scored.scores[:, 0].tolist()[::2] == [200, 202]


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory."),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: x"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate(handle)`"),
        RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
        RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED"),
    ],
)
def test_out_of_memory_halves_the_batch_and_stays_smaller(error: Exception) -> None:
    backend = FakeBackend(lambda batch: error if batch.ids.size > 100 else None)
    predictor = Predictor(DESCRIPTION, backend, 640)
    packed = pack([200 + i] * 10 for i in range(64))
    scored = predictor.predict(packed, 1)
    assert scored.errors == {}
    assert scored.scores[:, 0].tolist() == [200 + i for i in range(64)]
    assert backend.freed >= 1
    assert predictor.max_batch_tokens == 80
    backend.shapes.clear()
    predictor.predict(packed, 1)
    assert set(backend.shapes) == {(8, 10)}


def test_one_row_too_large_for_the_memory_is_its_own_fault() -> None:
    backend = FakeBackend(lambda batch: torch.OutOfMemoryError("x") if batch.ids.shape[1] > 30 else None)
    scored = Predictor(DESCRIPTION, backend, 256).predict(pack([[200], [201] * 40, [202]]), 1)
    assert list(scored.errors) == [1]
    assert scored.errors[1].message.startswith("OutOfMemoryError")


@pytest.mark.parametrize("bad", [[VOCAB], [-1], [5] * 65])
def test_ids_of_another_tokenizer_never_reach_the_device(bad: list[int]) -> None:
    backend = FakeBackend(lambda batch: AssertionError() if batch.ids.max() >= VOCAB or batch.ids.min() < 0 else None)
    scored = Predictor(DESCRIPTION, backend).predict(pack([[200, 1], bad, [202]]), 1)
    assert list(scored.errors) == [1]
    assert "another tokenizer" in scored.errors[1].message
    assert scored.scores[:, 0].tolist()[::2] == [200, 202]


@pytest.mark.parametrize("size", [1, 2, 3, None])
def test_type_ids_outside_of_the_table_never_reach_the_device(size: int | None) -> None:
    backend = FakeBackend(
        lambda batch: None if batch.type_ids is None or batch.type_ids.max() < (size or 256) else AssertionError()
    )
    backend.type_vocab_size = size
    packed = pack([[200], [201, 1, 1], [202, 2], [203, 4], [VOCAB, 3]])._replace(
        type_ids=np.array([0, 0, 1, 0, 2, 0, 0, 0, 0, 3], np.uint8)
    )
    scored = Predictor(DESCRIPTION, backend).predict(packed, 1)
    refused = [row for row, largest in ((1, 1), (2, 2)) if size is not None and largest >= size]
    assert sorted(scored.errors) == [*refused, 4]
    assert "another tokenizer" in scored.errors[4].message
    for row in refused:
        assert f"type_vocab_size in config.json is {size}" in scored.errors[row].message
    for row in {0, 1, 2, 3} - set(refused):
        assert scored.scores[row, 0] == 200 + row


@pytest.mark.parametrize(("size", "pairs"), [(1, False), (2, True), (None, True)])
def test_the_first_texts_have_a_pair_where_the_model_takes_one(
    size: int | None, pairs: bool, caplog: pytest.LogCaptureFixture
) -> None:
    given: list[int] = []

    def look(batch: PaddedBatch) -> None:
        given.append(0 if batch.type_ids is None else int(batch.type_ids.max()))

    backend = FakeBackend(look)
    backend.type_vocab_size = size
    Predictor(DESCRIPTION, backend).warm_up()
    assert max(given) == (1 if pairs else 0)
    said = [record.levelname for record in caplog.records if "each message with a text_pair will be" in record.message]
    assert said == ([] if pairs else ["WARNING"])
    given.clear()
    Predictor(replace(DESCRIPTION, task="feature-extraction", dimensions=5), backend).warm_up()
    assert max(given) == 0


@pytest.mark.parametrize("kind", [2, 255, 256, 70_000])
def test_a_pairs_type_ids_may_be_of_any_size(kind: int, caplog: pytest.LogCaptureFixture) -> None:
    typed = make_tokenizer("bert").backend_tokenizer
    specials = [(name, typed.token_to_id(name)) for name in ("[CLS]", "[SEP]")]
    typed.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]", pair=f"[CLS] $A [SEP] $B:{kind} [SEP]:{kind}", special_tokens=specials
    )
    description = replace(DESCRIPTION, tokenizer_json=typed.to_str())
    backend = FakeBackend(
        lambda batch: None if batch.type_ids is None or batch.type_ids.max() < 2 else AssertionError()
    )
    predictor = Predictor(description, backend)
    predictor.warm_up()
    assert "each message with a text_pair will be" in caplog.text
    packed, _ = TextTokenizer(description).encode([Request("good"), Request("good", text_pair="bad")])
    scored = predictor.predict(packed, 1)
    assert list(scored.errors) == [1]
    assert "type_vocab_size in config.json is 2" in scored.errors[1].message


def test_predictor_refuses_model_that_takes_no_text() -> None:
    backend = FakeBackend()
    backend.type_vocab_size = 1
    zero_shot = replace(DESCRIPTION, task="zero-shot-classification", zero_shot=ZeroShot(0, 1))
    with pytest.raises(ModelError, match=r"type_vocab_size in config.json is 1\); save the tokenizer"):
        Predictor(zero_shot, backend)
    backend.type_vocab_size = 2
    Predictor(zero_shot, backend)
    ones = make_tokenizer("bert").backend_tokenizer
    ones.post_processor = TemplateProcessing(single="[CLS]:2 $A:0", pair="[CLS] $A $B", special_tokens=[("[CLS]", 2)])
    with pytest.raises(ModelError, match="save the tokenizer"):
        Predictor(replace(DESCRIPTION, tokenizer_json=ones.to_str()), backend)


def test_lengths_that_do_not_fill_the_ids_are_refused() -> None:
    for packed in (RaggedSequences(np.zeros(3, np.int32), np.array([2], np.int32)), pack([[1], []])):
        with pytest.raises(InferenceError, match="do not fill"):
            Predictor(DESCRIPTION, FakeBackend()).predict(packed, 1)


class Shifted(FakeBackend):
    """Gives one row too many."""

    def logits(self, batch: PaddedBatch) -> torch.Tensor:
        return torch.cat([super().logits(batch), torch.zeros(1, 5)])


class Swayed(FakeBackend):
    """Answers by the batch's width, as a model does whose padding is not masked."""

    def logits(self, batch: PaddedBatch) -> torch.Tensor:
        return super().logits(batch) + batch.ids.shape[1]


def test_a_shifted_answer_is_never_taken() -> None:
    with pytest.raises(InferenceError, match="shape"):
        Predictor(DESCRIPTION, Shifted()).predict(pack([[1], [2]]), 1)


@pytest.mark.parametrize(
    ("backend", "message"),
    [
        (FakeBackend(lambda batch: ValueError("no padding token")), "first texts: ValueError: no padding token"),
        (Shifted(), r"shape \(5, 5\) for 4 texts; it should give 5 each"),
        (Swayed(), "answers differently when a text is padded"),
    ],
)
def test_warming_up_finds_what_is_wrong_with_a_model(backend: FakeBackend, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        Predictor(DESCRIPTION, backend).warm_up()


def test_warming_up_runs_the_longest_sequence_and_a_full_batch() -> None:
    backend = FakeBackend()
    Predictor(DESCRIPTION, backend, 512).warm_up()
    assert max(width for _, width in backend.shapes) == 64
    assert max(count * width for count, width in backend.shapes) > 256
