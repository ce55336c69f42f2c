"""Checks the types of a program's requests, because wrong types fail deep in the tokenizer. No torch."""

from collections.abc import Iterable, Sequence
from types import UnionType

from labelstream.workers.classifier import Request

_PLAIN = Request("")[1:]  # the options of a request with a text only


def requests_of(given: Iterable[Request | str], name: str = "requests") -> list[Request]:
    """`given`, the parameter `name`, with a `Request` for each text. Raises TypeError, which says what to pass."""
    if isinstance(given, str | bytes | Request) or not isinstance(given, Iterable):
        raise TypeError(f"{name} is {_a(given)}; give a list of texts or Requests, such as [text]")
    return [_request(f"{name}[{i}]", item) for i, item in enumerate(given)]


def _request(name: str, item: object) -> Request:
    request = Request(item) if isinstance(item, str) else item
    if not isinstance(request, Request):
        raise TypeError(f"{name} is {_a(request)}; give a str or a Request")
    _check(f"{name}.text", request.text, str, "a str")
    return request if request[1:] == _PLAIN else _with_options(name, request)


def _with_options(name: str, request: Request) -> Request:
    """`request` with checked options and tuples for lists, so that the request can be hashed."""
    _check(f"{name}.text_pair", request.text_pair, str | None, "a str or None")
    _check_number(f"{name}.top_k", request.top_k)
    _check(f"{name}.hypothesis_template", request.hypothesis_template, str | None, "a str or None")
    _check(f"{name}.multi_label", request.multi_label, bool | None, "a bool or None")
    _check(f"{name}.function_to_apply", request.function_to_apply, str | None, "a str or None")
    _check(f"{name}.sequences", request.sequences, bool | None, "a bool or None")
    _check_number(f"{name}.dimensions", request.dimensions)
    _check(f"{name}.normalize", request.normalize, bool | None, "a bool or None")
    return request._replace(
        candidate_labels=_texts(f"{name}.candidate_labels", request.candidate_labels),
        targets=_texts(f"{name}.targets", request.targets),
    )


def _check_number(name: str, value: object) -> None:
    if isinstance(value, bool):
        raise TypeError(f"{name} is a bool; give an int or None")
    _check(name, value, int | None, "an int or None")


def _texts(name: str, value: object) -> tuple[str, ...] | None:
    if value is None:
        return None
    if isinstance(value, str | bytes) or not isinstance(value, Sequence):
        raise TypeError(f"{name} is {_a(value)}; give a list or tuple of str, or None")
    for i, text in enumerate(value):
        _check(f"{name}[{i}]", text, str, "a str")
    return tuple(value)


def _check(name: str, value: object, kind: type | UnionType, wanted: str) -> None:
    if not isinstance(value, kind):
        raise TypeError(f"{name} is {_a(value)}; give {wanted}")


def _a(value: object) -> str:
    """The type of `value` with its article. The value itself may be a text, which must not reach a log."""
    if value is None:
        return "None"
    kind = type(value).__name__
    return f"{'an' if kind[0] in 'aeiouAEIOU' else 'a'} {kind}"
