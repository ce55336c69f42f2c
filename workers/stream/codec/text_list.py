"""A record with a list of texts, and the outcomes of its texts."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from pydantic import SkipValidation

from labelstream.schemas.dead_letter import Reason, Stage
from labelstream.schemas.message import TextMessage
from labelstream.workers.classifier import MODEL_FAULTS, Answered, RecordError
from labelstream.workers.stream.codec.rejection import Rejection


class ListedText(NamedTuple):
    """One text of a list. `rejection`: why the text gets no answer; `text` is empty if it could not be read."""

    text: str
    text_pair: str | None = None
    rejection: Rejection | None = None


class TextList(TextMessage):
    """A message with several texts. `text`: all texts that can be answered, joined. Other fields hold for each text."""

    texts: SkipValidation[tuple[ListedText, ...]]

    def pair_of(self, text: ListedText) -> str | None:
        """The second text of `text`: its own, or the one for all."""
        return self.text_pair if text.text_pair is None else text.text_pair


TextOutcome = Answered | RecordError | Rejection


class TextAnswers(NamedTuple):
    """The outcomes of a record's texts, in order; at least one has an answer."""

    texts: tuple[TextOutcome, ...]

    def answered(self) -> Iterator[Answered]:
        return (text for text in self.texts if not isinstance(text, RecordError | Rejection))

    @property
    def task(self) -> str:
        return next(self.answered()).task

    @property
    def abstained(self) -> bool:
        """Whether any answer abstained."""
        return any(answer.abstained for answer in self.answered())


class FailedTexts(NamedTuple):
    """The outcomes of a record whose texts all failed, the models' errors among them."""

    texts: tuple[RecordError | Rejection, ...]

    def rejection(self, model: str) -> Rejection:
        """Of the record: the first model fault, else the first error of the classifier."""
        errors = [text for text in self.texts if isinstance(text, RecordError)]
        first = next((error for error in errors if error.fault in MODEL_FAULTS), errors[0])
        message = f"{told(self.texts, self.texts.index(first))}: {first.message}"
        attempts = max(error.attempts for error in errors)
        return Rejection(Reason(first.fault), Stage.CLASSIFY, first.fault.name, message, attempts, model)


def told(texts: Sequence[object], at: int) -> str:
    """Error text that names the text at `at`, of `texts` that all fail."""
    return f"text {at + 1} of {len(texts)}, which all fail" if len(texts) > 1 else "text 1 of 1"


def rejections(message: TextMessage | None) -> list[Rejection | None]:
    """The rejection of each text of a TextList, or None."""
    return [text.rejection for text in message.texts] if isinstance(message, TextList) else []


def texts_of(outcome: Any) -> Sequence[Any]:
    """The outcomes of the texts of one record."""
    return outcome.texts if isinstance(outcome, TextAnswers | FailedTexts) else (outcome,)


def joined_outcome(texts: Sequence[TextOutcome | None]) -> TextAnswers | FailedTexts:
    """The outcome of a record with these outcomes of its texts. Raises ValueError if one is missing."""
    found = tuple(text for text in texts if text is not None)
    if len(found) != len(texts):
        raise ValueError(f"{len(found)} outcomes for {len(texts)} texts")
    failed = tuple(text for text in found if isinstance(text, RecordError | Rejection))
    return FailedTexts(failed) if len(failed) == len(found) else TextAnswers(found)
