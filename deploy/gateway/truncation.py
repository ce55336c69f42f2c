"""What a request says about texts that are longer than the model takes."""

from collections.abc import Sequence
from typing import NamedTuple

from labelstream.deploy.gateway.served import RequestRefused, WrongField
from labelstream.workers.classifier import Answered
from labelstream.workers.engine.description import Keep, ModelDescription

_KEPT = {"left": Keep.TAIL, "right": Keep.HEAD}


class TextTooLong(RequestRefused):
    """A text is longer than the model takes, and must not be truncated. `status`: 413 in a list of texts, else 422."""

    def __init__(self, message: str, in_list: bool) -> None:
        super().__init__(message)
        self.status = 413 if in_list else 422


class Truncation(NamedTuple):
    """`allowed`: whether a text may be truncated. `direction`: the end that is cut off, left or right; None: any."""

    allowed: bool = True
    direction: str | None = None

    def check(self, answers: Sequence[Answered], description: ModelDescription, field: str, in_list: bool) -> None:
        """Raises TextTooLong or WrongField if a text of the list `field` was truncated otherwise than the request says.

        The model decides at which end; a request can only refuse that.
        """
        index = next((i for i, answer in enumerate(answers) if answer.truncated), None)
        if index is None:
            return
        place = f"{field}[{index}]" if in_list else field
        if not self.allowed:
            raise TextTooLong(
                f"{place}: the text has more than {description.max_length} tokens; shorten it, or allow truncation",
                in_list,
            )
        if self.direction is not None and _KEPT[self.direction.lower()] is not description.keep:
            raise WrongField(
                f"truncation_direction: this model does not cut texts off on the {self.direction.lower()}; "
                "leave truncation_direction out, or set the model's `truncate`"
            )
