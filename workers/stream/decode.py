"""Bytes of an input record -> TextMessage, or the reason why not. One bad record never harms another."""

import json
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jiter
from pydantic import ValidationError

from schemas.dead_letter import Reason, Stage
from schemas.message import TextMessage
from workers.settings import PipelineSettings

_INT64_MIN, _INT64_MAX = -(2**63), 2**63 - 1


class Rejection(NamedTuple):
    """Why one record becomes a dead letter. `message` never quotes the record's text."""

    reason: Reason
    stage: Stage
    error_class: str
    message: str
    attempts: int = 1
    model: str = ""


class DecodeError(Exception):
    """The record is at fault."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason, self.message = reason, message

    def rejection(self) -> Rejection:
        return Rejection(self.reason, Stage.DECODE, type(self).__name__, self.message)


def decoder(pipeline: PipelineSettings) -> Callable[[bytes], TextMessage]:
    """The function that reads this pipeline's values; it raises `DecodeError` and nothing else."""
    limits, allowed = pipeline.limits, frozenset(pipeline.allowed_models)
    read = _reader(pipeline)

    def decode(value: bytes) -> TextMessage:
        if len(value) > limits.max_message_bytes:
            raise DecodeError(Reason.TOO_LARGE, f"{len(value)} bytes; limits.max_message_bytes is "
                                                f"{limits.max_message_bytes}")
        message = read(value)
        if not message.text or message.text.isspace():
            raise DecodeError(Reason.EMPTY_TEXT, "the text is empty or blank")
        if message.model is not None and message.model not in allowed:
            raise DecodeError(Reason.UNKNOWN_MODEL, "the message names a model that its pipeline does not list")
        if message.hypothesis_template is not None and len(message.hypothesis_template) > limits.max_label_chars:
            raise DecodeError(Reason.INVALID_LABELS, "hypothesis_template is longer than limits.max_label_chars "
                                                     f"({limits.max_label_chars})")
        if message.candidate_labels is not None:
            _check_labels(message.candidate_labels, len(message.text), pipeline)
        return message

    return decode


def _reader(pipeline: PipelineSettings) -> Callable[[bytes], TextMessage]:
    if pipeline.format == "text":
        return _read_plain
    if pipeline.text_field is not None:
        path = pipeline.text_field
        return lambda value: _read_field(value, path)
    return _read_message


def _read_plain(value: bytes) -> TextMessage:
    try:
        return TextMessage.model_construct(text=value.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise _invalid_encoding(error) from None


def _read_message(value: bytes) -> TextMessage:
    tree = _parse_json(value)
    try:
        return TextMessage.__pydantic_validator__.validate_python(tree)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(str(part) for part in first["loc"][:1]) or "the value"
        raise DecodeError(Reason.INVALID_MESSAGE, f"{where}: {first['msg']}") from None


def _read_field(value: bytes, path: str) -> TextMessage:
    found = _lookup(_parse_json(value), path)
    if not isinstance(found, str):
        problem = "is missing" if found is None else "is not a string"
        raise DecodeError(Reason.INVALID_MESSAGE, f"text_field {path} {problem}")
    return TextMessage.model_construct(text=found)


def _lookup(tree: Any, path: str) -> Any:
    """The value at a dotted path; a key that itself holds dots wins, as in flattened log events."""
    if not isinstance(tree, dict):
        return None
    if path in tree:
        return tree[path]
    head, _, rest = path.partition(".")
    while rest:
        if head in tree and (found := _lookup(tree[head], rest)) is not None:
            return found
        more, _, rest = rest.partition(".")
        head = f"{head}.{more}"
    return None


def _parse_json(value: bytes) -> Any:
    try:
        tree = jiter.from_json(value, allow_inf_nan=False, catch_duplicate_keys=True)
    except ValueError as error:
        raise _explain(value, str(error)) from None
    if type(tree) is dict:  # anything else is no message, whatever is in it
        _refuse_huge_numbers(tree)
    return tree


def _explain(value: bytes, problem: str) -> DecodeError:
    """Only for a value that was refused already, so it may take its time."""
    if len(value) > 5 and value[0] == 0:
        return DecodeError(Reason.UNSUPPORTED_ENCODING, "a schema registry's framing (0x00 and a schema id) stands "
                                                        "before the value: configure the producer for plain JSON")
    try:
        value.decode("utf-8")
    except UnicodeDecodeError as error:
        return _invalid_encoding(error)
    if problem.startswith("Detected duplicate key"):  # jiter quotes the key: the position is enough
        return DecodeError(Reason.INVALID_MESSAGE, "duplicate key" + problem[problem.rfind(" at line"):])
    if ("surrogate" in problem or "hex escape" in problem) and _has_lone_surrogate(value):
        return DecodeError(Reason.INVALID_TEXT, "a lone surrogate escape is no text")
    return DecodeError(Reason.INVALID_JSON, problem)


def _has_lone_surrogate(value: bytes) -> bool:
    try:
        json.dumps(json.loads(value), ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        return True
    except (ValueError, RecursionError):
        return False
    return False


def _refuse_huge_numbers(tree: dict[str, Any]) -> None:
    """Written for the usual message, a few strings, which passes in 0.3 us."""
    pending: list[Any] = [tree]
    while pending:
        node = pending.pop()
        for value in node.values() if type(node) is dict else node:
            kind = type(value)
            if kind is str:
                continue
            if kind is int and not _INT64_MIN <= value <= _INT64_MAX:
                raise DecodeError(Reason.INVALID_JSON, "an integer does not fit 64 bits")
            if kind is float and not math.isfinite(value):
                raise DecodeError(Reason.INVALID_JSON, "a number does not fit a 64-bit float")
            if kind is dict or kind is list:
                pending.append(value)


def _invalid_encoding(error: UnicodeDecodeError) -> DecodeError:
    return DecodeError(Reason.INVALID_ENCODING, f"not UTF-8 at byte {error.start}")


def _check_labels(labels: list[str], text_chars: int, pipeline: PipelineSettings) -> None:
    limits = pipeline.limits
    problem = None
    if not labels:
        problem = "candidate_labels is empty"
    elif len(labels) > limits.max_candidate_labels:
        problem = f"{len(labels)} candidate labels; limits.max_candidate_labels is {limits.max_candidate_labels}"
    elif any(len(label) > limits.max_label_chars for label in labels):
        problem = f"a candidate label is longer than limits.max_label_chars ({limits.max_label_chars})"
    elif any(not label or label.isspace() for label in labels):
        problem = "a candidate label is empty or blank"
    elif len(set(labels)) != len(labels):
        problem = "candidate labels repeat"
    elif len(labels) * text_chars > limits.max_label_text_chars:
        problem = f"labels x text characters is over limits.max_label_text_chars ({limits.max_label_text_chars})"
    if problem:
        raise DecodeError(Reason.INVALID_LABELS, problem)
