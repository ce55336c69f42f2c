"""Computes the scores of sequences: plans batches, runs them, and finds the sequence that makes a batch fail."""

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from labelstream.workers.classifier import Fault, RecordError, Request
from labelstream.workers.engine.backends.pytorch.host_copy import HostCopy, begin_fetch
from labelstream.workers.engine.batching.batch import AfterForward
from labelstream.workers.engine.description import ModelDescription
from labelstream.workers.engine.error_text import LESS_MEMORY, is_out_of_memory, one_line
from labelstream.workers.engine.inference import self_check
from labelstream.workers.engine.inference.backend import Backend
from labelstream.workers.engine.inference.batch_runner import BatchRunner, Rows
from labelstream.workers.engine.inference.scoring import Scored, score
from labelstream.workers.engine.inference.self_check import NOT_FINITE
from labelstream.workers.engine.ragged import RaggedSequences, ScoredSequences, Scoring
from labelstream.workers.engine.tokenization.tokenizer import TextTokenizer
from labelstream.workers.errors import InferenceError

logger = logging.getLogger(__name__)

# Tokens per forward, padding included. A CPU is fastest with batches that fit its caches, a GPU with batches that fill
# it. An H200 ran 150,000 texts/s at 8,192 tokens, 157,000 at 16,384, and 161,000 at 33,792 with twice the latency.
DEFAULT_BATCH_TOKENS = {"cpu": 1_024, "cuda": 16_384}
_MIN_BATCH_TOKENS = 64


class _Call(NamedTuple):
    """One `predict` in progress. `done`: (rows, their scores, which may still be on the device).

    `width`: scores per row. `ranked`: whether these are the best labels' scores. `forwards`: int32 [n], how often each
    row was given to the model. `errors`: row -> its error.
    """

    of: Rows
    width: int
    ranked: bool
    forwards: NDArray[np.int32]
    done: list[tuple[NDArray[np.intp], Scored]]
    errors: dict[int, RecordError]

    def refuse(self, row: int, message: str) -> None:
        self.errors[row] = RecordError(Fault.INFERENCE_FAILED, message, max(1, int(self.forwards[row])))


class Predictor:
    """Runs `backend` with at most `max_batch_tokens` tokens per forward. One calling thread at a time.

    `max_batch_tokens`: padding included; None means the default of the device. If the device runs out of memory, the
    predictor lowers it for good. `good_row`: a text that every model can answer. `short_row`: a text of typical length.
    `first_rows`: the texts of the self-check.
    """

    def __init__(self, description: ModelDescription, backend: Backend, max_batch_tokens: int | None = None) -> None:
        self.description = description
        self.backend = backend
        self.max_batch_tokens: int = max_batch_tokens or DEFAULT_BATCH_TOKENS[backend.device_type]
        self.runner = BatchRunner(backend)
        # Tokenize the self-check texts now, so that the tokenizer and its vocabulary can be freed.
        tokenizer = TextTokenizer(replace(description, max_length=min(description.max_length, self_check.LONGEST)))
        self.good_row, _ = tokenizer.encode([Request("good")])
        self.short_row, _ = tokenizer.encode([Request("good " * 30)])
        self.first_rows = self_check.rows(description, backend, tokenizer)

    def predict(self, packed: RaggedSequences, top_k: int) -> ScoredSequences:
        """The `top_k` best labels (at most all) of each of the n >= 1 sequences, in order.

        If the description's scores are not `ranked`, all scores, whatever `top_k` is.

        A row gets an entry in `errors` if the model raises on that row and answers a known good row, or if its logits
        are not finite. Raises InferenceError if the known good row fails too; no row has an answer then.
        """
        return self.begin(packed, top_k)()

    def begin(
        self, packed: RaggedSequences, top_k: int, after_forward: AfterForward | None = None
    ) -> Callable[[], ScoredSequences]:
        """As `predict`, in two steps: returns a function that waits for the answers. Call it on the same thread.

        On cuda the device computes in between, and further calls may begin. `after_forward`: called after each forward
        with the forward's tokens and `Backend.mark`; other calls may begin and end inside of it.
        """
        call = self._new_call(packed, top_k)
        rows = self._rows_within_limits(call)
        with _as_inference_errors():
            for batch in self.runner.plan(packed.lengths[rows], self.max_batch_tokens):
                self._run(call, rows[batch])
                if after_forward is not None:
                    after_forward(int(packed.lengths[rows[batch]].sum()), self.backend.mark)
            answers = self._answers_of(call)
        return partial(self._end, answers)

    def _answers_of(self, call: _Call) -> Callable[[], ScoredSequences]:
        """Start to copy the scores of `call` to the host. Returns a function that waits for the copy."""
        if not call.done:
            return partial(_collect, call, None)
        fetched = begin_fetch([scored for _, scored in call.done], self.backend.mark)
        return lambda: _collect(call, fetched())

    def _end(self, answers: Callable[[], ScoredSequences]) -> ScoredSequences:
        with _as_inference_errors():
            result = answers()
        if result.errors:
            self.probe()
        return result

    def probe(self) -> None:
        """Run one known good row. Raises InferenceError if that row fails: the model or its device is broken."""
        call = self._new_call(self.good_row, 1)
        try:
            self._forward(call, np.zeros(1, np.intp))
            failed = self._answers_of(call)().errors
        except Exception as error:
            raise InferenceError(f"the model fails on any text: {one_line(error)}") from error
        if failed:
            raise InferenceError(f"the model fails on any text: {failed[0].message}")

    @property
    def tokens(self) -> int:
        """Tokens run since the start, without padding."""
        return self.runner.tokens

    @property
    def slots(self) -> int:
        """Tokens run since the start, with padding."""
        return self.runner.slots

    @property
    def overlaps(self) -> bool:
        """Whether the device computes while the calling thread continues."""
        return self.backend.device_type == "cuda"

    @property
    def packs(self) -> bool:
        """Whether batches run without padding."""
        return self.runner.packing is not None

    def memory(self) -> dict[str, int]:
        """See `Backend.memory`. Thread-safe."""
        return self.backend.memory()

    def _new_call(self, packed: RaggedSequences, top_k: int) -> _Call:
        outputs, ranked = self.description.outputs, self.description.ranked
        width = min(top_k, outputs) if ranked else outputs
        return _Call(Rows(packed), width, ranked, np.zeros(len(packed.lengths), np.int32), [], {})

    def _rows_within_limits(self, call: _Call) -> NDArray[np.intp]:
        """The rows whose ids, type ids and lengths lie within the model's tables; refuses the others.

        An index outside a table breaks a GPU's context for the whole process. Other devices may return wrong answers.
        """
        packed = call.of.packed
        n = len(packed.lengths)
        if int(packed.lengths.sum()) != len(packed.ids) or (n and int(packed.lengths.min()) < 1):
            raise InferenceError(f"{len(packed.ids)} ids do not fill {n} sequences; caller and model disagree")
        if packed.targets is not None and not _within(packed.targets, packed.lengths):
            raise InferenceError("targets lie outside of their sequences; caller and model disagree")
        if not _known_labels(packed.scorings, self.description.outputs):
            raise InferenceError("label ids lie outside of the model's labels; caller and model disagree")
        vocab, longest = self.backend.vocab_size, self.description.max_length
        wrong_types = _from(self.backend.type_vocab_size, packed.type_ids)
        if not n or (
            packed.lengths.max() <= longest
            and packed.ids.max() < vocab
            and packed.ids.min() >= 0
            and wrong_types is None
        ):
            return np.arange(n)
        outside = (packed.ids < 0) | (packed.ids >= vocab)
        bad = call.of.any_in(outside) | (packed.lengths > longest)
        for row in np.flatnonzero(bad).tolist():
            call.refuse(row, f"token ids of another tokenizer: the model takes {longest} ids below {vocab}")
        if wrong_types is not None:
            of_types = call.of.any_in(wrong_types) & ~bad
            for row in np.flatnonzero(of_types).tolist():
                call.refuse(row, self_check.outside_types(self.backend.type_vocab_size))
            bad |= of_types
        return np.flatnonzero(~bad)

    def _run(self, call: _Call, rows: NDArray[np.intp]) -> None:
        """Run `rows`. If they fail, run each half, down to single rows, and refuse the rows that fail alone."""
        try:
            self._forward(call, rows)
            return
        except Exception as error:
            reason, memory = one_line(error), is_out_of_memory(error)
        # Outside the except block, because the exception's frames hold the batch's memory.
        if memory:
            self.backend.free_memory()
            if len(rows) > 1:
                self._shrink_budget(self.runner.slots_of(call.of.packed.lengths[rows]))
        else:
            self.probe()
        if len(rows) == 1:
            call.refuse(int(rows[0]), f"{reason}; {LESS_MEMORY}" if memory else reason)
            return
        half = len(rows) // 2
        self._run(call, rows[:half])
        self._run(call, rows[half:])

    def _shrink_budget(self, failed_tokens: int) -> None:
        smaller = max(_MIN_BATCH_TOKENS, failed_tokens // 2)
        if smaller < self.max_batch_tokens:
            logger.warning(
                "out of memory with a batch of %d tokens; max_batch_tokens is now %d", failed_tokens, smaller
            )
            self.max_batch_tokens = smaller

    def _forward(self, call: _Call, rows: NDArray[np.intp]) -> None:
        call.forwards[rows] += 1
        logits = self.runner.logits(call.of, rows)
        if logits.shape != (len(rows), self.description.outputs):
            raise InferenceError(f"the model gave logits of shape {tuple(logits.shape)} for {len(rows)} rows")
        packed, top_k = call.of.packed, call.width if call.ranked else None
        scorings = packed.scorings_of(rows.tolist()) if packed.scorings else None
        description = self.description
        scored = score(logits, description.activation, top_k, scorings, description.temperature)
        call.done.append((rows, scored))


@contextmanager
def _as_inference_errors() -> Iterator[None]:
    try:
        yield
    except InferenceError:
        raise
    except Exception as error:
        raise InferenceError(f"the model's answers were lost: {one_line(error)}") from error


def _within(targets: NDArray[np.int32], lengths: NDArray[np.int32]) -> bool:
    return len(targets) == len(lengths) and bool(((targets >= 0) & (targets < lengths)).all())


def _known_labels(scorings: Mapping[int, Scoring] | None, outputs: int) -> bool:
    return not scorings or all(
        0 <= label < outputs for scoring in scorings.values() for label in scoring.label_ids or ()
    )


def _from(size: int | None, type_ids: NDArray[np.uint8] | None) -> NDArray[np.bool_] | None:
    """Which `type_ids` are `size` or more, bool [sum(lengths)]; None if there are none."""
    if size is None or type_ids is None:
        return None
    outside = type_ids >= size
    return outside if outside.any() else None


def _collect(call: _Call, fetched: HostCopy | None) -> ScoredSequences:
    """The scores of `call` in the order of its sequences, and its errors."""
    n = len(call.of.packed.lengths)
    label_ids = np.zeros((n, call.width), np.int32) if call.ranked else None
    scores = np.full((n, call.width), np.nan, np.float32)
    count = len(call.errors)
    if fetched is not None:
        rows = np.concatenate([rows for rows, _ in call.done])
        count += len(rows)
        if label_ids is not None and fetched.label_ids is not None:
            label_ids[rows] = fetched.label_ids
        scores[rows] = fetched.scores
        for row in rows[~fetched.finite].tolist():
            scores[row] = np.nan
            call.refuse(row, NOT_FINITE)
    if count != n:
        raise InferenceError(f"{count} answers for {n} sequences")
    return ScoredSequences(label_ids, scores, call.errors)
