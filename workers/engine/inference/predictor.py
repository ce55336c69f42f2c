"""Computes the scores of sequences: checks them, plans batches, runs these, and copies the scores to the host."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from labelstream.workers.classifier import Request
from labelstream.workers.engine.backends.pytorch.host_copy import begin_fetch
from labelstream.workers.engine.batching.batch import AfterForward
from labelstream.workers.engine.description import ModelDescription
from labelstream.workers.engine.inference import self_check
from labelstream.workers.engine.inference.answers import answers, lost
from labelstream.workers.engine.inference.backend import Backend
from labelstream.workers.engine.inference.forward_plan import plan, plan_packed
from labelstream.workers.engine.inference.forward_runner import ForwardRunner
from labelstream.workers.engine.inference.input_limits import InputLimits
from labelstream.workers.engine.inference.isolating_runner import IsolatingRunner
from labelstream.workers.engine.inference.predict_call import PredictCall
from labelstream.workers.engine.ragged import RaggedSequences, ScoredSequences
from labelstream.workers.engine.tokenization.tokenizer import TextTokenizer
from labelstream.workers.errors import InferenceError

# Tokens per forward, padding included. A CPU is fastest with batches that fit its caches, a GPU with batches that fill
# it. An H200 ran 150,000 texts/s at 8,192 tokens, 157,000 at 16,384, and 161,000 at 33,792 with twice the latency.
DEFAULT_BATCH_TOKENS = {"cpu": 1_024, "cuda": 16_384}


class Predictor:
    """Runs `backend` with at most `max_batch_tokens` tokens per forward. One calling thread at a time.

    `max_batch_tokens`: padding included; None means the default of the device. If the device runs out of memory, the
    predictor lowers it for good. `good_row`: a text that every model can answer. `short_row`: a text of typical length.
    `first_rows`: the texts of the self-check.
    """

    def __init__(self, description: ModelDescription, backend: Backend, max_batch_tokens: int | None = None) -> None:
        self.description = description
        self.backend = backend
        self.runner = ForwardRunner(backend, max_batch_tokens or DEFAULT_BATCH_TOKENS[backend.device_type])
        # Tokenize the self-check texts now, so that the tokenizer and its vocabulary can be freed.
        tokenizer = TextTokenizer(replace(description, max_length=min(description.max_length, self_check.LONGEST)))
        self.good_row, _ = tokenizer.encode([Request("good")])
        self.short_row, _ = tokenizer.encode([Request("good " * 30)])
        self.first_rows = self_check.rows(description, backend, tokenizer)
        self._limits = InputLimits(description, backend)
        self._isolation = IsolatingRunner(description, backend, self.runner, self.good_row)

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
        call = PredictCall(packed, top_k, self.description)
        rows, runner, mark = self._limits.rows_within(call), self.runner, self.backend.mark
        lengths = packed.lengths[rows]
        try:
            if runner.packing is not None:
                batches = plan_packed(lengths, runner.max_batch_tokens)
            else:
                batches = plan(lengths, runner.max_batch_tokens, *runner.padding_costs)
            for batch in batches:
                self._isolation.run(call, rows[batch])
                if after_forward is not None:
                    after_forward(int(lengths[batch].sum()), mark)
            fetch = begin_fetch([scored for _, scored in call.done], mark) if call.done else None
        except InferenceError:
            raise
        except Exception as error:
            raise lost(error) from error
        return partial(answers, call, fetch, self.probe)

    def probe(self) -> None:
        """Run one known good row. Raises InferenceError if that row fails: the model or its device is broken."""
        self._isolation.probe()

    @property
    def max_batch_tokens(self) -> int:
        """Tokens per forward, padding included."""
        return self.runner.max_batch_tokens

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
