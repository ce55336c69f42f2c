"""Embedding: one sequence per text, answered with the model's vector. No torch."""

from collections.abc import Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from labelstream.workers.classifier import MAX_MESSAGE_TOKENS, Answer, Embedding, Request
from labelstream.workers.engine.description import ModelDescription
from labelstream.workers.engine.ragged import ScoredSequences
from labelstream.workers.engine.tasks.base import Prepared, encode_answerable, refusals, refused_beside_text
from labelstream.workers.engine.tasks.postprocess import by_label
from labelstream.workers.engine.tokenization.tokenizer import TextTokenizer

_DIGITS = 9  # decimal digits that identify any float32: C++11, std::numeric_limits<float>::max_digits10


class TextEmbedding:
    """The `Task` feature-extraction: embeddings."""

    def __init__(self, description: ModelDescription, max_tokens: int = MAX_MESSAGE_TOKENS) -> None:
        self._description = description
        self._tokenizer = TextTokenizer(description, max_tokens)

    def prepare(self, requests: Sequence[Request]) -> Prepared:
        """See `Task.prepare`. Ignores `top_k`."""
        rejected = refusals(requests, partial(refused_beside_text, task=self._description.task))
        _, packed, truncated = encode_answerable(requests, rejected, self._tokenizer.encode_each)
        read = partial(self._read, packed.lengths.tolist(), truncated)
        return Prepared(packed, self._description.outputs, read, rejected)

    def _read(self, lengths: list[int], truncated: list[bool], scored: ScoredSequences) -> list[Answer]:
        vectors = by_label(scored, self._description.outputs)
        if self._description.normalize:
            norms = np.linalg.norm(vectors, axis=1, keepdims=True)
            vectors = vectors / np.maximum(norms, np.finfo(np.float32).tiny)
        rows = zip(shortest(vectors).tolist(), lengths, truncated, strict=True)
        revision = self._description.revision
        return [
            scored.errors.get(row) or Embedding(tuple(vector), tokens, cut, revision)
            for row, (vector, tokens, cut) in enumerate(rows)
        ]


def shortest(values: NDArray[np.float32]) -> NDArray[np.float64]:
    """The doubles with the fewest digits that round to `values`: half as long in JSON. Any shape."""
    wide = values.astype(np.float64)
    with np.errstate(all="ignore"):
        scales = 10.0 ** (_DIGITS - 1 - np.floor(np.log10(np.abs(wide))))
        rounded = np.rint(wide * scales) / scales
    return np.where(rounded.astype(np.float32) == values, rounded, wide)  # zero, tiny and infinite stay unrounded
