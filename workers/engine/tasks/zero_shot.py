"""Zero-shot classification by an NLI model: one pair of text and hypothesis per candidate label. No torch.

As `transformers.ZeroShotClassificationPipeline`: only the text is truncated. Scores are a softmax over the entailment
logits of all labels. With `multi_label`, or a single label, a score is the softmax of entailment and contradiction.
The model's `temperature` divides the logits before either softmax.
"""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from labelstream.workers.classifier import MAX_MESSAGE_TOKENS, Answer, Fault, Prediction, RecordError, Request
from labelstream.workers.engine.description import ModelDescription, TaskName
from labelstream.workers.engine.ragged import RaggedSequences, ScoredSequences
from labelstream.workers.engine.tasks.base import (
    Prepared,
    encode_answerable,
    refusals,
    refused_beside_text,
    refused_top_k,
)
from labelstream.workers.engine.tasks.postprocess import by_label, in_order_of
from labelstream.workers.engine.tasks.thresholds import Acceptance
from labelstream.workers.engine.tokenization.refusals import too_large
from labelstream.workers.engine.tokenization.special_tokens import ID_BYTES
from labelstream.workers.engine.tokenization.tokenizer import TextTokenizer, pack
from labelstream.workers.engine.tokenization.truncation import cut
from labelstream.workers.errors import ModelError

MAX_HYPOTHESES = 10_000  # cached hypotheses, about 200 bytes each


class _Question(NamedTuple):
    """The options of one request, and whether its text was truncated."""

    labels: tuple[str, ...]
    multi_label: bool
    top_k: int
    truncated: bool


class ZeroShotClassification:
    """The `Task` zero-shot-classification. Caches the ids of the most recently used hypotheses."""

    def __init__(self, description: ModelDescription, max_tokens: int = MAX_MESSAGE_TOKENS) -> None:
        if description.zero_shot is None:
            raise ModelError(f"{description.source}: the model has no labels of natural language inference")
        self._description, self._settings = description, description.zero_shot
        self._tokenizer = TextTokenizer(description, max_tokens)
        self._acceptance = Acceptance(description)
        self._hypotheses: dict[str, bytes] = {}

    def prepare(self, requests: Sequence[Request]) -> Prepared:
        """See `Task.prepare`."""
        rejected = refusals(requests, self._refusal)
        _, packed, questions = encode_answerable(requests, rejected, self._encode)
        width = len(self._description.labels)
        return Prepared(packed, width, partial(self._read, packed.lengths, questions), rejected)

    def _refusal(self, request: Request) -> RecordError | None:
        if (error := refused_beside_text(request, TaskName.ZERO_SHOT)) is not None:
            return error
        labels = request.candidate_labels
        if not (self._settings.labels if labels is None else labels):
            return RecordError(
                Fault.INVALID_LABELS, "no candidate_labels, neither in the message nor in the model's settings"
            )
        if request.hypothesis_template is not None and not is_template(request.hypothesis_template):
            return RecordError(
                Fault.INVALID_LABELS, "hypothesis_template must hold {} exactly once, and no other brace"
            )
        return refused_top_k(request)

    def _encode(self, requests: Sequence[Request]) -> tuple[RaggedSequences, list[_Question], dict[int, RecordError]]:
        tokenizer, frame = self._tokenizer, self._tokenizer.pair
        sequences: list[bytes] = []
        types: dict[int, bytes] = {}
        questions: list[_Question] = []
        refused: dict[int, RecordError] = {}
        contents = tokenizer.contents([request.text for request in requests], tokenizer.enough, tokenizer.keep)
        for i, (request, content) in enumerate(zip(requests, contents, strict=True)):
            labels = self._settings.labels if request.candidate_labels is None else request.candidate_labels
            if isinstance(content, RecordError):
                refused[i] = content
                continue
            hypotheses = self._hypotheses_of(labels, request.hypothesis_template or self._settings.template)
            if isinstance(hypotheses, RecordError):
                refused[i] = hypotheses
                continue
            if (error := self._refused(content, hypotheses)) is not None:
                refused[i] = error
                continue
            truncated = False
            for hypothesis in hypotheses:
                room = self._room(hypothesis)
                truncated = truncated or len(content) > room * ID_BYTES
                pair = [cut(content, room, tokenizer.keep), hypothesis]
                if frame.has_types:
                    types[len(sequences)] = frame.types(pair)
                sequences.append(frame.wrap(pair))
            multi = self._settings.multi_label if request.multi_label is None else request.multi_label
            top_k = self._description.top_k if request.top_k is None else request.top_k
            questions.append(_Question(tuple(labels), multi, top_k, truncated))
        return pack(sequences, types), questions, refused

    def _room(self, hypothesis: bytes) -> int:
        """Tokens of the text that fit beside `hypothesis`."""
        return self._tokenizer.max_length - self._tokenizer.pair.special_count - len(hypothesis) // ID_BYTES

    def _refused(self, content: bytes, hypotheses: list[bytes]) -> RecordError | None:
        """The error of a text with too long or too many hypotheses; else None."""
        tokens = 0
        for hypothesis in hypotheses:
            room = self._room(hypothesis)
            if room < 1:
                return RecordError(Fault.INVALID_LABELS, "a hypothesis leaves no room for the text")
            tokens += self._tokenizer.max_length - max(0, room - len(content) // ID_BYTES)
        limit = self._tokenizer.max_tokens
        return too_large(tokens, len(hypotheses), limit) if tokens > limit else None

    def _hypotheses_of(self, labels: Sequence[str], template: str) -> list[bytes] | RecordError:
        before, _, behind = template.partition("{}")  # no str.format: a label may contain braces
        texts = [f"{before}{label}{behind}" for label in labels]
        known = self._hypotheses
        new = [text for text in dict.fromkeys(texts) if text not in known]
        contents = self._tokenizer.contents(new)
        if refused := next((content for content in contents if isinstance(content, RecordError)), None):
            return refused
        known.update((text, content) for text, content in zip(new, contents, strict=True) if isinstance(content, bytes))
        found = []
        for text in texts:
            known[text] = known.pop(text)  # moves the entry to the end: the dict is in order of use
            found.append(known[text])
        while len(known) > MAX_HYPOTHESES:
            del known[next(iter(known))]
        return found

    def _read(self, lengths: NDArray[np.int32], questions: list[_Question], scored: ScoredSequences) -> list[Answer]:
        if len(scored.scores) != sum(len(question.labels) for question in questions):
            raise ValueError(f"{len(scored.scores)} answers for the pairs of {len(questions)} texts")
        logits = by_label(scored, len(self._description.labels)).astype(np.float64)
        answers: list[Answer] = []
        first = 0
        for question in questions:
            last = first + len(question.labels)
            answer = scored.error_in(first, last) or self._answer(
                question, logits[first:last], int(lengths[first:last].sum())
            )
            if self._description.in_model_order:
                answer = in_order_of(answer, {label: place for place, label in enumerate(question.labels)})
            answers.append(answer)
            first = last
        return answers

    def _answer(self, question: _Question, logits: NDArray[np.float64], tokens: int) -> Prediction:
        entailment, contradiction = self._settings.entailment_id, self._settings.contradiction_id
        if self._description.temperature != 1.0:
            logits = logits / self._description.temperature
        independent = question.multi_label or len(question.labels) == 1
        if independent:
            scores = _softmax(logits[:, [contradiction, entailment]])[:, 1]
        else:
            scores = _softmax(logits[:, entailment])
        order = np.argsort(-scores, kind="stable").tolist()
        prediction = Prediction(
            tuple(question.labels[i] for i in order),
            tuple(scores[order].tolist()),
            tokens,
            question.truncated,
            self._description.revision,
            self._description.task,
        )
        if question.multi_label:
            return self._acceptance.of_independent(prediction, question.top_k)
        best = prediction._replace(
            labels=prediction.labels[: question.top_k], scores=prediction.scores[: question.top_k]
        )
        return self._acceptance.of_best(best) if self._acceptance.is_set else best


def is_template(template: str) -> bool:
    """Whether `template` holds `{}` exactly once, and no other brace."""
    return template.count("{}") == 1 and template.count("{") == template.count("}") == 1


def _softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)
