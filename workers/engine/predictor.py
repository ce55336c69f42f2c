"""Packed sequences -> scores: plans the batches, runs them, and finds out what is to blame when one raises."""

import logging
import time
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from workers.classifier import Fault, RecordError, Request
from workers.engine.backend import Backend
from workers.engine.batcher import pad, plan
from workers.engine.description import ModelDescription
from workers.engine.faults import is_out_of_memory, one_line
from workers.engine.packed import PackedSequences, ScoredSequences, concatenate
from workers.engine.scoring import Scored, score
from workers.engine.tokenizer import TextTokenizer
from workers.errors import InferenceError, ModelError

logger = logging.getLogger(__name__)

# Padded tokens per forward: small on a CPU, whose caches are what counts; large on a GPU, which must be filled.
DEFAULT_BATCH_TOKENS = {"cpu": 1024, "cuda": 16384}
# What a forward costs however little is in it: on a CPU reading the weights, on a GPU launching the kernels.
_OVERHEAD_TOKENS = {"cpu": 64, "cuda": 2048}
_LEAST_BATCH_TOKENS = 64
_NOT_FINITE = "the model's logits are not finite"


class _Call(NamedTuple):
    """One `predict` in progress. `done` holds what is still on the device, each entry with its rows.

    `forwards`: int32 [n], how many times each row was given to the model. `width`: scores per row. `ranked`: they are
    the best ones.
    """

    packed: PackedSequences
    starts: NDArray[np.int64]
    width: int
    ranked: bool
    forwards: NDArray[np.int32]
    done: list[tuple[NDArray[np.intp], Scored]]
    errors: dict[int, RecordError]

    def refuse(self, row: int, message: str) -> None:
        self.errors[row] = RecordError(Fault.INFERENCE_FAILED, message, max(1, int(self.forwards[row])))


class Predictor:
    """Runs `backend` within a budget of padded tokens. One calling thread at a time.

    `max_batch_tokens`: None takes the default of the backend's device. It shrinks by itself, for good, when the
    device runs out of memory. `tokens`, `slots`: run since the start, without and with padding.
    """

    def __init__(self, description: ModelDescription, backend: Backend, max_batch_tokens: int | None = None) -> None:
        self._description = description
        self._backend = backend
        self.max_batch_tokens: int = max_batch_tokens or DEFAULT_BATCH_TOKENS[backend.device_type]
        self.tokens = self.slots = 0
        # All of ours at once: a tokenizer that is kept would keep its vocabulary.
        tokenizer, long_text = TextTokenizer(description), "all work and no play " * description.max_length
        self._good_row, _ = tokenizer.encode([Request("good")])
        self._short_row, _ = tokenizer.encode([Request("good " * 30)])
        texts = ("good", "not bad at all.", long_text[:160], long_text)
        self._first_rows, _ = tokenizer.encode([Request(text) for text in texts])

    def predict(self, packed: PackedSequences, top_k: int) -> ScoredSequences:
        """The `top_k` best labels (at most all) of each of the n >= 1 sequences, in their order.

        Where the description says that scores are not ranked: all of them, whatever `top_k` is.

        A row on which the model raises while it still answers others, or whose logits are not finite, is an entry in
        `errors`. Raises InferenceError when the model does not answer a known good row either: nothing is known of
        any of the rows then.
        """
        call = self._new_call(packed, top_k)
        rows = self._rows_within_limits(call)
        overhead = _OVERHEAD_TOKENS[self._backend.device_type]
        try:
            for batch in plan(packed.lengths[rows], self.max_batch_tokens, overhead):
                self._run(call, rows[batch])
            result = _collect(call)
        except InferenceError:
            raise
        except Exception as error:
            raise InferenceError(f"the model's answers were lost: {one_line(error)}") from error
        if result.errors:
            self.probe()
        return result

    def probe(self) -> None:
        """Classify one known good row. Raises InferenceError when that fails: the model or its device is at fault."""
        call = self._new_call(self._good_row, 1)
        try:
            self._forward(call, np.zeros(1, np.intp))
            failed = _collect(call).errors
        except Exception as error:
            raise InferenceError(f"the model fails on any text: {one_line(error)}") from error
        if failed:
            raise InferenceError(f"the model fails on any text: {failed[0].message}")

    def memory(self) -> dict[str, int]:
        """See `Backend.memory`. From any thread."""
        return self._backend.memory()

    def measure(self) -> float:
        """Tokens per second of one full forward of short texts: what this device can do, before it has had to.

        Raises InferenceError as `predict` does.
        """
        row = self._short_row
        packed = concatenate([row] * max(1, self.max_batch_tokens // (len(row.ids) + 1)))
        started = time.perf_counter()
        self.predict(packed, 1)
        return len(packed.ids) / (time.perf_counter() - started)

    def warm_up(self) -> None:
        """Run the shapes that matter once, the largest included, and compare padded with unpadded answers.

        Raises ModelError when the model fails on good texts, or answers differently beside a longer one.
        """
        packed, lengths = self._first_rows, self._first_rows.lengths
        call = self._new_call(packed, 1)
        try:
            together = self._logits(call, np.arange(len(lengths)))
            alone = torch.cat([self._logits(call, np.array([row])) for row in range(len(lengths))])
            filling = max(1, self.max_batch_tokens // int(lengths[2]))
            self._logits(call, np.full(filling, 2))
        except Exception as error:
            raise ModelError(
                f"{self._description.source}: the model fails on its first texts: {one_line(error)}"
            ) from error
        if together.shape != (len(lengths), self._description.outputs):
            raise ModelError(
                f"{self._description.source}: the model gives logits of shape {tuple(together.shape)} for "
                f"{len(lengths)} texts; it should give {self._description.outputs} each: check its config.json"
            )
        tolerance = 1e-3 if self._backend.dtype is torch.float32 else 0.1
        together, alone = together.float(), alone.float()
        if not torch.isfinite(together).all():
            raise ModelError(f"{self._description.source}: {_NOT_FINITE} for good texts; try dtype float32")
        if ((together - alone).abs().max() > tolerance * alone.abs().max().clamp(min=1)).item():
            raise ModelError(
                f"{self._description.source}: the model answers differently when a text is padded to a longer one's "
                "length; check pad_token_id in config.json and the tokenizer's padding side, which must be right"
            )

    def _new_call(self, packed: PackedSequences, top_k: int) -> _Call:
        starts = np.zeros(len(packed.lengths), np.int64)
        np.cumsum(packed.lengths[:-1], out=starts[1:])
        most, ranked = self._description.outputs, self._description.ranked
        width = min(top_k, most) if ranked else most
        return _Call(packed, starts, width, ranked, np.zeros(len(starts), np.int32), [], {})

    def _rows_within_limits(self, call: _Call) -> NDArray[np.intp]:
        """All rows but those which would take a GPU down for good: ids or lengths outside of its tables."""
        packed = call.packed
        n = len(packed.lengths)
        if int(packed.lengths.sum()) != len(packed.ids) or (n and int(packed.lengths.min()) < 1):
            raise InferenceError(f"{len(packed.ids)} ids do not fill {n} sequences; caller and model disagree")
        if packed.targets is not None and not _within(packed.targets, packed.lengths):
            raise InferenceError("targets lie outside of their sequences; caller and model disagree")
        vocab, longest = self._backend.vocab_size, self._description.max_length
        if not n or (packed.lengths.max() <= longest and packed.ids.max() < vocab and packed.ids.min() >= 0):
            return np.arange(n)
        outside = ((packed.ids < 0) | (packed.ids >= vocab)).astype(np.int8)
        bad = (np.maximum.reduceat(outside, call.starts) > 0) | (packed.lengths > longest)
        for row in np.flatnonzero(bad).tolist():
            call.refuse(row, f"token ids of another tokenizer: the model takes {longest} ids below {vocab}")
        return np.flatnonzero(~bad)

    def _run(self, call: _Call, rows: NDArray[np.intp]) -> None:
        """Run `rows`, if need be in ever smaller parts, until only rows that fail by themselves are left."""
        try:
            self._forward(call, rows)
            return
        except Exception as error:
            reason, memory = one_line(error), is_out_of_memory(error)
        # Out of the except block: the exception's frames held the batch's memory.
        if memory:
            self._backend.free_memory()
            if len(rows) > 1:
                self._shrink_budget(int(call.packed.lengths[rows].max()) * len(rows))
        else:
            self.probe()
        if len(rows) == 1:
            call.refuse(int(rows[0]), reason)
            return
        half = len(rows) // 2
        self._run(call, rows[:half])
        self._run(call, rows[half:])

    def _shrink_budget(self, failed_tokens: int) -> None:
        smaller = max(_LEAST_BATCH_TOKENS, failed_tokens // 2)
        if smaller < self.max_batch_tokens:
            logger.warning("out of memory with %d padded tokens: max_batch_tokens is now %d", failed_tokens, smaller)
            self.max_batch_tokens = smaller

    def _forward(self, call: _Call, rows: NDArray[np.intp]) -> None:
        call.forwards[rows] += 1
        logits = self._logits(call, rows)
        if logits.shape != (len(rows), self._description.outputs):
            raise InferenceError(f"the model gave logits of shape {tuple(logits.shape)} for {len(rows)} rows")
        call.done.append((rows, score(logits, self._description.activation, call.width if call.ranked else None)))

    def _logits(self, call: _Call, rows: NDArray[np.intp]) -> torch.Tensor:
        batch = pad(call.packed, call.starts, rows, self._backend.pad_id)
        self.tokens += int(batch.lengths.sum())
        self.slots += batch.ids.size
        return self._backend.logits(batch)


def _within(targets: NDArray[np.int32], lengths: NDArray[np.int32]) -> bool:
    return len(targets) == len(lengths) and bool(((targets >= 0) & (targets < lengths)).all())


def _collect(call: _Call) -> ScoredSequences:
    """Fetch all answers from the device and bring them into the order of the input."""
    n = len(call.packed.lengths)
    label_ids = np.zeros((n, call.width), np.int32) if call.ranked else None
    scores = np.full((n, call.width), np.nan, np.float32)
    count = len(call.errors)
    if call.done:
        rows = np.concatenate([rows for rows, _ in call.done])
        count += len(rows)
        if label_ids is not None:
            best = [scored.label_ids for _, scored in call.done if scored.label_ids is not None]
            label_ids[rows] = torch.cat(best).cpu().numpy()
        scores[rows] = torch.cat([scored.scores for _, scored in call.done]).cpu().numpy()
        finite = torch.cat([scored.finite for _, scored in call.done]).cpu().numpy()
        for row in rows[~finite].tolist():
            scores[row] = np.nan
            call.refuse(row, _NOT_FINITE)
    if count != n:
        raise InferenceError(f"{count} answers for {n} sequences")
    return ScoredSequences(label_ids, scores, call.errors)
