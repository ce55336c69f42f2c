"""What all dialects ask of texts, and what they make of texts without an answer."""

from collections.abc import Sequence

from labelstream.deploy.gateway.served import RequestRefused, WrongField
from labelstream.schemas.message import TextMessage
from labelstream.workers.classifier import Answer, Answered, Fault, RecordError
from labelstream.workers.engine.description import ModelDescription
from labelstream.workers.settings.limits import LimitSettings
from labelstream.workers.stream.codec.rejection import DecodeError
from labelstream.workers.stream.codec.request import check_message

LIMITS = LimitSettings()
_STATUS = {Fault.TOO_LARGE: 413, Fault.TIMED_OUT: 504}


class TextFailed(RequestRefused):
    """A text of the request has no answer, for a reason of its own: `fault`.

    - `status`: 413 for a text that is too large, 504 for one that takes too long, else 422.
    - `place`: the text in the request, such as `inputs[3]`; empty for the only text.
    """

    status = 422

    def __init__(self, error: RecordError, place: str = "") -> None:
        super().__init__(f"{place}: {error.message}" if place else error.message)
        self.fault = error.fault
        self.status = _STATUS.get(error.fault, self.status)


def refuse_blank(texts: Sequence[str], field: str) -> None:
    """Raises WrongField for the first empty or blank text of the list `field`."""
    for index, text in enumerate(texts):
        if not text or text.isspace():
            raise WrongField(f"{field}[{index}]: the text is empty or blank")


def refuse_labels(labels: Sequence[str] | None, template: str | None, texts: Sequence[str]) -> None:
    """Raises WrongField if zero-shot labels or their template are wrong, or beyond the default `limits`."""
    longest = max(texts, key=len, default="-")
    message = TextMessage.model_construct(
        text=longest, candidate_labels=None if labels is None else list(labels), hypothesis_template=template
    )
    try:
        check_message(message, LIMITS)
    except DecodeError as error:
        raise WrongField(error.message) from None


def prompt_of(description: ModelDescription, name: str | None) -> str:
    """The prompt that precedes each text; empty for no name. Raises WrongField if the model has no such prompt."""
    if name is None:
        return ""
    if name not in description.prompts:
        known = ", ".join(description.prompts) or "none"
        raise WrongField(f"prompt_name: unknown prompt; the model's prompts are {known}")
    return description.prompts[name]


def all_answered(answers: Sequence[Answer], field: str) -> list[Answered]:
    """The answers to the texts of the list `field`. Raises TextFailed for the first text without one."""
    found: list[Answered] = []
    for index, answer in enumerate(answers):
        if isinstance(answer, RecordError):
            raise TextFailed(answer, f"{field}[{index}]")
        found.append(answer)
    return found
