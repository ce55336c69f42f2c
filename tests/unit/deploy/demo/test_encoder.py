"""Pieces and vectors of a larger encoder."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

from labelstream.deploy.demo.encoder import VECTOR_SCALE, frequent_pieces, vectors_of

PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "b", "##b", "good", "bad", "##ly", "never"]


@pytest.fixture
def encoder(tmp_path: Path) -> Path:
    tokenizer = Tokenizer(models.WordPiece({piece: i for i, piece in enumerate(PIECES)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.enable_truncation(1)
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    generator = torch.Generator().manual_seed(1)
    weights = torch.randn(len(PIECES), 6, generator=generator)
    save_file({"embeddings.word_embeddings.weight": weights, "other": torch.ones(1)}, tmp_path / "model.safetensors")
    return tmp_path


def test_pieces_are_special_single_and_the_most_frequent_ones(encoder: Path) -> None:
    texts = ["Bad, badly bad", "good"]
    special = PIECES[:5]
    assert frequent_pieces(encoder, texts, 10, special) == [*special, "##b", "a", "b", "bad", "##ly"]
    assert "never" not in frequent_pieces(encoder, texts, 100, special)


def test_vectors_keep_how_pieces_differ(encoder: Path) -> None:
    pieces = PIECES[2:]
    whole, reduced = vectors_of(encoder, pieces, 6), vectors_of(encoder, pieces, 3)
    assert reduced.shape == (len(pieces), 3)
    assert float(reduced.std()) == pytest.approx(VECTOR_SCALE)
    assert torch.allclose(reduced / reduced.norm(), whole[:, :3] / whole[:, :3].norm(), atol=1e-5)
