"""Text classification: one sequence per request, or one per window of a long text. No torch."""

from collections.abc import Container, Sequence
from functools import partial

import numpy as np

from labelstream.workers.classifier import MAX_MESSAGE_TOKENS, Answer, Fault, Prediction, RecordError, Request
from labelstream.workers.engine.description import Activation, ModelDescription, TaskName, Windows
from labelstream.workers.engine.ragged import RaggedSequences, ScoredSequences, Scoring
from labelstream.workers.engine.tasks.base import (
    Prepared,
    encode_answerable,
    refusals,
    refused_options,
    refused_top_k,
    refused_width,
    top_ks_of,
)
from labelstream.workers.engine.tasks.postprocess import in_order_of, predictions
from labelstream.workers.engine.tasks.thresholds import Acceptance
from labelstream.workers.engine.tasks.windows import aggregate, encode_windows
from labelstream.workers.engine.tokenization.tokenizer import TextTokenizer

_PLAIN = Request("")[2:]  # the options of a request with texts only


class TextClassification:
    """The `Task` text-classification."""

    def __init__(self, description: ModelDescription, max_tokens: int = MAX_MESSAGE_TOKENS) -> None:
        self._description = description
        self._tokenizer = TextTokenizer(description, max_tokens)
        self._acceptance = Acceptance(description)
        self._independent = description.activation is Activation.SIGMOID
        self._places = {label: place for place, label in enumerate(description.labels)}
        self._decides = self._independent or self._acceptance.is_set

    def prepare(self, requests: Sequence[Request]) -> Prepared:
        """See `Task.prepare`."""
        rejected: dict[int, RecordError] = {}
        plain = all(request[2:] == _PLAIN for request in requests)
        if not plain:
            rejected = refusals(requests, partial(_refused, description=self._description))
        if self._description.windows is not None:
            return self._prepare_windows(requests, rejected, self._description.windows)
        accepted, packed, truncated = encode_answerable(requests, rejected, self._tokenizer.encode_each)
        scorings = {} if plain else self._scorings(accepted)
        if scorings:
            packed = packed._replace(scorings=scorings)
        top_ks = top_ks_of(accepted, self._description)
        width = len(self._description.labels) if self._independent else max(top_ks, default=1)
        read = partial(self._read, packed.lengths.tolist(), truncated, top_ks, scorings)
        return Prepared(packed, width, read, rejected)

    def _scorings(self, requests: Sequence[Request]) -> dict[int, Scoring]:
        """Row -> its scoring, for requests that want another activation than the model's."""
        own = self._description.activation
        return {
            row: Scoring(Activation(wanted))
            for row, request in enumerate(requests)
            if (wanted := request.function_to_apply) is not None and wanted != own
        }

    def _prepare_windows(
        self, requests: Sequence[Request], rejected: dict[int, RecordError], windows: Windows
    ) -> Prepared:
        encode = partial(encode_windows, self._tokenizer, windows)
        accepted, packed, (counts, truncated) = encode_answerable(requests, rejected, encode)
        labels, top_ks = len(self._description.labels), top_ks_of(accepted, self._description)
        scorings = self._scorings(accepted)
        if scorings:
            of_rows = np.repeat(np.arange(len(counts)), counts).tolist()
            packed = packed._replace(
                scorings={row: scorings[text] for row, text in enumerate(of_rows) if text in scorings}
            )

        def read(scored: ScoredSequences) -> list[Answer]:
            whole = aggregate(scored, counts, labels, windows.aggregate)
            return self._read(_sums(packed, counts), truncated, top_ks, scorings, whole)

        return Prepared(packed, labels, read, rejected)

    def _read(
        self,
        tokens: list[int],
        truncated: list[bool],
        top_ks: list[int],
        scorings: Container[int],
        scored: ScoredSequences,
    ) -> list[Answer]:
        description = self._description
        widths = [len(description.labels)] * len(top_ks) if self._independent else top_ks
        answers = predictions(scored, description.labels, tokens, truncated, widths, description.revision)
        if self._decides:
            answers = [
                _best(answer, top_k) if row in scorings else self._decided(answer, top_k)
                for row, (answer, top_k) in enumerate(zip(answers, top_ks, strict=True))
            ]
        return [in_order_of(answer, self._places) for answer in answers] if description.in_model_order else answers

    def _decided(self, answer: Answer, top_k: int) -> Answer:
        if not isinstance(answer, Prediction):
            return answer
        return self._acceptance.of_independent(answer, top_k) if self._independent else self._acceptance.of_best(answer)


def _best(answer: Answer, top_k: int) -> Answer:
    """The `top_k` best labels of an answer whose scores say nothing about thresholds."""
    if not isinstance(answer, Prediction):
        return answer
    return answer._replace(labels=answer.labels[:top_k], scores=answer.scores[:top_k])


def _refused(request: Request, description: ModelDescription) -> RecordError | None:
    if request.function_to_apply not in (None, *Activation):
        return RecordError(Fault.INVALID_MESSAGE, f"function_to_apply must be one of {', '.join(Activation)}")
    return (
        refused_options(request, TaskName.TEXT_CLASSIFICATION)
        or refused_top_k(request)
        or refused_width(request, description)
    )


def _sums(packed: RaggedSequences, counts: Sequence[int]) -> list[int]:
    lengths = iter(packed.lengths.tolist())
    return [sum(next(lengths) for _ in range(count)) for count in counts]
