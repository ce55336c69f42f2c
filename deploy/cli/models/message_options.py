"""What a message asks of the model besides its text, from the fields of an object or the cells of a row."""

import json
from collections.abc import Mapping
from typing import Any

from labelstream.workers.classifier import Fault
from labelstream.workers.errors import LabelstreamError

NAMES = ("text_pair", "candidate_labels", "hypothesis_template", "multi_label", "top_k")  # of messages and Requests
_AS_JSON = {"candidate_labels": '["refund", "delivery"]', "multi_label": "true", "top_k": "3"}  # with an example cell


class OptionError(LabelstreamError):
    """A field of the message is wrong. `fault`: as of a message in a topic."""

    def __init__(self, text: str, fault: Fault = Fault.INVALID_MESSAGE) -> None:
        super().__init__(text)
        self.fault = fault


def of_fields(text: str, fields: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of the `Request` for `text`, by the rules of a topic's messages. Raises OptionError."""
    if not (given := {name: fields[name] for name in NAMES if fields.get(name) is not None}):
        return given
    from pydantic import ValidationError

    from labelstream.schemas.message import TextMessage
    from labelstream.workers.settings.limits import LimitSettings
    from labelstream.workers.stream.codec.decode_json import invalid
    from labelstream.workers.stream.codec.rejection import DecodeError
    from labelstream.workers.stream.codec.request import check_message, request_of

    tree = {"text": text, **given}
    try:
        message = TextMessage.model_validate(tree)
        check_message(message, LimitSettings())
    except ValidationError as error:
        raise OptionError(invalid(tree, error).message) from None
    except DecodeError as error:
        raise OptionError(error.message, Fault(error.reason.value)) from None
    request = request_of(message)
    return {name: getattr(request, name) for name in given}


def of_cells(text: str, cells: Mapping[str, str]) -> dict[str, Any]:
    """As `of_fields`. An empty cell is no option; lists, numbers and booleans are JSON."""
    return of_fields(text, {name: _value(name, cells[name]) for name in NAMES if cells.get(name)})


def _value(name: str, cell: str) -> Any:
    if name not in _AS_JSON:
        return cell
    try:
        return json.loads(cell)
    except (ValueError, RecursionError):
        raise OptionError(f"{name}: the cell must be JSON, such as {_AS_JSON[name]}") from None
