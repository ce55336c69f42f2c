"""Fill-mask: one sequence per mask of a text, with that mask as its target. No torch.

Answers equal those of `transformers.FillMaskPipeline`, which also fills each mask by itself, but longer texts are
truncated. A text with several masks, which is rare, runs through the model once per mask.
"""

from collections.abc import Container, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from labelstream.workers.classifier import MAX_MESSAGE_TOKENS, Answer, Fault, Fill, MaskFill, RecordError, Request
from labelstream.workers.engine.description import ModelDescription
from labelstream.workers.engine.ragged import RaggedSequences, ScoredSequences, Scoring, concatenate, select, split
from labelstream.workers.engine.tasks.base import (
    Prepared,
    encode_answerable,
    refusals,
    refused_beside_text,
    refused_top_k,
    refused_width,
    top_ks_of,
)
from labelstream.workers.engine.tasks.fill_vocabulary import FillVocabulary
from labelstream.workers.engine.tokenization.refusals import too_large
from labelstream.workers.engine.tokenization.tokenizer import TextTokenizer, pack
from labelstream.workers.errors import ModelError

MAX_FILLS = 10_000  # masks x `top_k` of a message: at 80 bytes of JSON each, a result stays below Kafka's default 1 MB


class FillMask:
    """The `Task` fill-mask."""

    def __init__(self, description: ModelDescription, max_tokens: int = MAX_MESSAGE_TOKENS) -> None:
        if description.mask is None:
            raise ModelError(f"{description.source}: the tokenizer has no mask token; set another task")
        self._description, self._mask = description, description.mask
        self._tokenizer = TextTokenizer(description, max_tokens)
        self._vocabulary = FillVocabulary(self._tokenizer.backend, self._mask, len(description.labels))

    def prepare(self, requests: Sequence[Request]) -> Prepared:
        """See `Task.prepare`."""
        rejected = refusals(requests, self._refusal)
        accepted, packed, (counts, truncated) = encode_answerable(requests, rejected, self._encode)
        top_ks = top_ks_of(accepted, self._description)
        targets = self._targets(accepted)
        if targets:
            top_ks = [min(top_k, len(targets.get(i, range(top_k)))) for i, top_k in enumerate(top_ks)]
            of_rows = np.repeat(np.arange(len(counts)), counts).tolist()
            scorings = {row: Scoring(label_ids=targets[i]) for row, i in enumerate(of_rows) if i in targets}
            packed = packed._replace(scorings=scorings)
        filled = {i for i, request in enumerate(accepted) if request.sequences}
        read = partial(self._read, packed, counts, truncated, top_ks, filled)
        return Prepared(packed, max(top_ks, default=1), read, rejected)

    def _targets(self, requests: Sequence[Request]) -> dict[int, tuple[int, ...]]:
        """Row -> ids of its targets, for requests with targets; none of these is refused."""
        found = {i: self._vocabulary.target_ids(r.targets) for i, r in enumerate(requests) if r.targets is not None}
        return {i: ids for i, ids in found.items() if not isinstance(ids, RecordError)}

    def _refusal(self, request: Request) -> RecordError | None:
        return (
            refused_beside_text(request, self._description.task)
            or refused_top_k(request)
            or refused_width(request, self._description)
            or self._refused_targets(request)
        )

    def _refused_targets(self, request: Request) -> RecordError | None:
        found = () if request.targets is None else self._vocabulary.target_ids(request.targets)
        return found if isinstance(found, RecordError) else None

    def _encode(
        self, requests: Sequence[Request]
    ) -> tuple[RaggedSequences, tuple[list[int], list[bool]], dict[int, RecordError]]:
        packed, truncated, refused = self._tokenizer.encode_each(requests)
        read = [i for i in range(len(requests)) if i not in refused]
        rows, targets = _places(packed, self._mask.id)
        counts = np.bincount(rows, minlength=len(read)).tolist()
        lengths = packed.lengths.tolist()
        accepted: list[int] = []
        for row, i in enumerate(read):
            error = self._refused(requests[i], counts[row], lengths[row], truncated[row])
            if error is None:
                accepted.append(row)
            else:
                refused[i] = error
        if len(accepted) < len(read) or len(rows) > len(read):
            answered = np.isin(rows, accepted)
            rows, targets = rows[answered], targets[answered]
            sequences = split(packed, 1, 1)
            packed = concatenate([sequences[row] for row in rows]) if len(rows) else pack([], {})
            counts, truncated = [counts[row] for row in accepted], [truncated[row] for row in accepted]
        return packed._replace(targets=targets), (counts, truncated), refused

    def _refused(self, request: Request, masks: int, tokens: int, truncated: bool) -> RecordError | None:
        """The error of a request whose text has no masks or too many; else None. `tokens`: of its sequence."""
        if not masks:
            where = " in the part that the model reads" if truncated else ""
            return RecordError(Fault.INVALID_MESSAGE, f"the text has no {self._mask.token}{where}")
        top_k = min(request.top_k or 0, len(self._description.labels))
        if top_k > self._description.top_k and masks * top_k > MAX_FILLS:
            return RecordError(
                Fault.INVALID_MESSAGE,
                f"{masks} masks with a top_k of {top_k} ask for {masks * top_k} tokens; the limit is {MAX_FILLS}",
            )
        limit = self._tokenizer.max_tokens
        return too_large(masks * tokens, masks, limit) if masks * tokens > limit else None

    def _read(
        self,
        packed: RaggedSequences,
        counts: list[int],
        truncated: list[bool],
        top_ks: list[int],
        filled: Container[int],
        scored: ScoredSequences,
    ) -> list[Answer]:
        """`filled`: the requests whose answers have the filled texts."""
        if scored.label_ids is None or not sum(counts) == len(scored.label_ids) == len(scored.scores):
            raise ValueError(f"{len(scored.scores)} answers for {sum(counts)} masks, or answers that are not ranked")
        answers: list[Answer] = []
        first = 0
        for i, (count, cut, top_k) in enumerate(zip(counts, truncated, top_ks, strict=True)):
            last = first + count
            ids, scores = scored.label_ids[first:last, :top_k], scored.scores[first:last, :top_k]
            masks = tuple(tuple(map(self._fill, *row)) for row in zip(ids.tolist(), scores.tolist(), strict=True))
            sequences = self._sequences(masks, select(packed, np.arange(first, last))) if i in filled else None
            tokens = int(packed.lengths[first:last].sum())
            answer = MaskFill(masks, tokens, cut, self._description.revision, sequences=sequences)
            answers.append(scored.error_in(first, last) or answer)
            first = last
        return answers

    def _fill(self, token_id: int, score: float) -> Fill:
        return Fill(self._description.labels[token_id], token_id, score)

    def _sequences(
        self, masks: tuple[tuple[Fill, ...], ...], sequences: RaggedSequences
    ) -> tuple[tuple[str, ...], ...]:
        """The filled texts of `masks`. `sequences`: the text's tokens once for each mask, with that mask as target."""
        assert sequences.targets is not None
        rows = sequences.ids.reshape(len(masks), -1).tolist()
        return tuple(
            tuple(self._filled(ids, target, fill.token_id, len(masks) == 1) for fill in fills)
            for fills, ids, target in zip(masks, rows, sequences.targets.tolist(), strict=True)
        )

    def _filled(self, ids: list[int], target: int, token_id: int, only_mask: bool) -> str:
        return self._vocabulary.sequence([*ids[:target], token_id, *ids[target + 1 :]], only_mask)


def _places(packed: RaggedSequences, token_id: int) -> tuple[NDArray[np.intp], NDArray[np.int32]]:
    """The row, and the position in that row, of each `token_id`, in order."""
    ends = np.cumsum(packed.lengths)
    found = np.flatnonzero(packed.ids == token_id)
    rows = np.searchsorted(ends, found, side="right")
    return rows, (found - (ends - packed.lengths)[rows]).astype(np.int32)
