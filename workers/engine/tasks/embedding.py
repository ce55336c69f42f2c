"""Embedding: one sequence per text, answered with the model's vector. No torch."""

from collections.abc import Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from labelstream.workers.classifier import MAX_MESSAGE_TOKENS, Answer, Embedding, Fault, RecordError, Request
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
        rejected = refusals(requests, self._refusal)
        accepted, packed, truncated = encode_answerable(requests, rejected, self._tokenizer.encode_each)
        forms: dict[tuple[int, bool], list[int]] = {}
        for row, request in enumerate(accepted):
            forms.setdefault(self._form(request), []).append(row)
        read = partial(self._read, packed.lengths.tolist(), truncated, forms)
        return Prepared(packed, self._description.outputs, read, rejected)

    def _refusal(self, request: Request) -> RecordError | None:
        if request.dimensions is not None and not 1 <= request.dimensions <= self._description.dimensions:
            return RecordError(
                Fault.INVALID_MESSAGE,
                f"dimensions is {request.dimensions}; the model's vectors have 1 to {self._description.dimensions}",
            )
        return refused_beside_text(request, self._description.task)

    def _form(self, request: Request) -> tuple[int, bool]:
        """Length of the answer's vector, and whether the vector is scaled to length 1."""
        scaled = self._description.normalize if request.normalize is None else request.normalize
        return request.dimensions or self._description.dimensions, scaled

    def _read(
        self,
        lengths: list[int],
        truncated: list[bool],
        forms: dict[tuple[int, bool], list[int]],
        scored: ScoredSequences,
    ) -> list[Answer]:
        every = by_label(scored, self._description.outputs)
        if not len(every) == len(lengths) == sum(map(len, forms.values())):
            raise ValueError(f"{len(every)} vectors for {len(lengths)} texts")
        answers: dict[int, Answer] = {}
        for (dimensions, scaled), rows in forms.items():
            vectors = every[rows, :dimensions]
            if scaled:
                norms = np.linalg.norm(vectors, axis=1, keepdims=True)
                vectors = vectors / np.maximum(norms, np.finfo(np.float32).tiny)
            for row, vector in zip(rows, shortest(vectors).tolist(), strict=True):
                answers[row] = scored.errors.get(row) or Embedding(
                    tuple(vector), lengths[row], truncated[row], self._description.revision
                )
        return [answers[row] for row in range(len(lengths))]


def shortest(values: NDArray[np.float32]) -> NDArray[np.float64]:
    """The doubles with the fewest digits that round to `values`: half as long in JSON. Any shape."""
    wide = values.astype(np.float64)
    with np.errstate(all="ignore"):
        scales = 10.0 ** (_DIGITS - 1 - np.floor(np.log10(np.abs(wide))))
        rounded = np.rint(wide * scales) / scales
    return np.where(rounded.astype(np.float32) == values, rounded, wide)  # zero, tiny and infinite stay unrounded
