"""The self-check of a loaded model on a few texts."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers.processors import TemplateProcessing

from labelstream.workers.classifier import Request
from labelstream.workers.engine.description import ZeroShot
from labelstream.workers.engine.engine import Engine
from labelstream.workers.engine.inference.forward_layout import PaddedBatch
from labelstream.workers.engine.inference.forward_runner import ForwardRunner
from labelstream.workers.engine.inference.predict_call import Rows
from labelstream.workers.engine.inference.predictor import Predictor
from labelstream.workers.engine.inference.self_check import LONGEST
from labelstream.workers.engine.inference.warmup import warm_up
from labelstream.workers.engine.tokenization.tokenizer import TextTokenizer
from labelstream.workers.errors import ModelError
from tests.support.fake_backend import DESCRIPTION, FakeBackend, Shifted, pack
from tests.support.models import build, make_tokenizer


@pytest.mark.parametrize(("size", "pairs"), [(1, False), (2, True), (None, True)])
def test_test_texts_have_a_pair_if_the_model_takes_one(
    size: int | None, pairs: bool, caplog: pytest.LogCaptureFixture
) -> None:
    given: list[int] = []

    def look(batch: PaddedBatch) -> None:
        given.append(0 if batch.type_ids is None else int(batch.type_ids.max()))

    backend = FakeBackend(look)
    backend.type_vocab_size = size
    warm_up(Predictor(DESCRIPTION, backend))
    assert max(given) == (1 if pairs else 0)
    said = [record.levelname for record in caplog.records if "every message with a text_pair becomes" in record.message]
    assert said == ([] if pairs else ["WARNING"])
    given.clear()
    warm_up(Predictor(replace(DESCRIPTION, task="feature-extraction", dimensions=5), backend))
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
    warm_up(predictor)
    assert "every message with a text_pair becomes" in caplog.text
    packed, _ = TextTokenizer(description).encode([Request("good"), Request("good", text_pair="bad")])
    scored = predictor.predict(packed, 1)
    assert list(scored.errors) == [1]
    assert "type_vocab_size in config.json is 2" in scored.errors[1].message


def test_predictor_refuses_model_that_takes_no_text() -> None:
    backend = FakeBackend()
    backend.type_vocab_size = 1
    zero_shot = replace(DESCRIPTION, task="zero-shot-classification", zero_shot=ZeroShot(0, 1))
    with pytest.raises(ModelError, match=r"type_vocab_size in config.json is 1\); save the model's own tokenizer"):
        Predictor(zero_shot, backend)
    backend.type_vocab_size = 2
    Predictor(zero_shot, backend)
    ones = make_tokenizer("bert").backend_tokenizer
    ones.post_processor = TemplateProcessing(single="[CLS]:2 $A:0", pair="[CLS] $A $B", special_tokens=[("[CLS]", 2)])
    with pytest.raises(ModelError, match="save the model's own tokenizer"):
        Predictor(replace(DESCRIPTION, tokenizer_json=ones.to_str()), backend)


class ReadsPadding(FakeBackend):
    """Answers depend on the batch's width, as in a model that does not mask padding."""

    def logits(self, batch: PaddedBatch) -> torch.Tensor:
        return super().logits(batch) + batch.ids.shape[1]


class ReadsNeighbours(FakeBackend):
    """Answers depend on the number of texts in the batch."""

    def logits(self, batch: PaddedBatch) -> torch.Tensor:
        return super().logits(batch) + len(batch.ids)


@pytest.mark.parametrize(
    ("backend", "message"),
    [
        (FakeBackend(lambda batch: ValueError("no padding token")), "test texts: ValueError: no padding token"),
        (Shifted(), r"shape \(5, 5\) for 4 texts instead of 5 each"),
        (ReadsNeighbours(), "answers a text differently beside other texts"),
    ],
)
def test_warm_up_refuses_a_broken_model(backend: FakeBackend, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        warm_up(Predictor(DESCRIPTION, backend))


def test_model_that_reads_padding_batches_equal_lengths(caplog: pytest.LogCaptureFixture) -> None:
    backend = ReadsPadding()
    predictor = Predictor(DESCRIPTION, backend)
    warm_up(predictor)
    assert [record.levelname for record in caplog.records if "padding changes" in record.message] == ["WARNING"]
    backend.shapes.clear()
    predictor.predict(pack([[5, 6, 7], [8], [9, 10], [11, 12, 13]]), 1)
    assert sorted(backend.shapes) == [(1, 1), (1, 2), (2, 3)]


@pytest.mark.parametrize("backend", ["torch", "openvino"])
def test_self_check_of_a_long_context_uses_short_texts(
    tmp_path: Path, backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[int, ...]] = []
    padded = ForwardRunner.padded
    folder = build(tmp_path / "model", "bert", max_position_embeddings=40_000, model_max_length=40_000)

    def look(self: ForwardRunner, of: Rows, rows: np.ndarray) -> torch.Tensor:
        seen.append((len(rows), int(of.packed.lengths[rows].max())))
        return padded(self, of, rows)

    monkeypatch.setattr(ForwardRunner, "padded", look)
    with Engine.load(str(folder), device="cpu", dtype="float32", backend=backend) as engine:
        assert engine.description.max_length == 40_000
    assert max(width for _, width in seen) == LONGEST
    assert max(4 * count * width * width for count, width in seen) <= 64 * 2**20


def test_out_of_memory_names_max_length() -> None:
    predictor = Predictor(DESCRIPTION, FakeBackend(lambda batch: torch.OutOfMemoryError("CUDA out of memory.")))
    with pytest.raises(ModelError, match=r"CUDA out of memory\.; lower max_batch_tokens or max_length"):
        warm_up(predictor)
