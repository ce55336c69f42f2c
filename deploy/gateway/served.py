"""The models as a dialect sees them, and the errors of a request.

A dialect turns each error into the body of its own envelope; see `envelopes`.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple, Protocol

from labelstream.workers.classifier import Answer, Request
from labelstream.workers.engine.description import ModelDescription, TaskName
from labelstream.workers.errors import LabelstreamError

_NONE: Mapping[str, str] = MappingProxyType({})


class Model(NamedTuple):
    """`name`: the model's key under `models`. `description`: of the revision that the replicas serve now."""

    name: str
    description: ModelDescription


class Served(Protocol):
    """The models of the config. Belongs to the gateway's event loop. `max_texts`: of one request."""

    max_texts: int

    def models(self) -> Sequence[str]:
        """Names of all models, in the order of the config file."""
        ...

    async def model(self, name: str | None, tasks: Collection[TaskName]) -> Model:
        """The model `name`, once a replica is up: starts one for a model at zero replicas, and waits for it.

        `name` None: `http.default_model` if it does one of `tasks`, else the first model that does.

        Raises UnknownModel, WrongTask if the model does none of `tasks`, and NotReady if no replica is up in
        `http.timeout_s`.
        """
        ...

    async def answer(self, model: Model, requests: Sequence[Request]) -> list[Answer]:
        """The answers in order of `requests`; a text that fails has its RecordError in the list.

        Raises TooManyTexts, Busy, NotReady and Late. A cancelled call costs no forward that has not begun.
        """
        ...

    async def ready(self, name: str | None = None) -> bool:
        """Whether the model `name` answers now, or could be started. None: whether all models do."""
        ...


def shown(name: str) -> str:
    """The begin of a name that a client sent, for one line of an error."""
    return repr(name[:50])


class RequestRefused(LabelstreamError):
    """Why a request gets no answer. Base of all errors of a request.

    - `status`: the HTTP status.
    - `message`: one line for a person; never quotes a text.
    - `headers`: further headers of the response, such as Retry-After.
    """

    status: int = 500

    def __init__(self, message: str, headers: Mapping[str, str] = _NONE) -> None:
        self.message, self.headers = message, headers
        super().__init__(message)


class NotJson(RequestRefused):
    """The body is not JSON."""

    status = 400


class UnsupportedEncoding(RequestRefused):
    """The body has a content-encoding that the gateway does not unpack."""

    status = 415


class Unauthorized(RequestRefused):
    """The token is missing or wrong."""

    status = 401

    def __init__(self, message: str) -> None:
        super().__init__(message, {"WWW-Authenticate": "Bearer"})


class Forbidden(RequestRefused):
    """The header Host or Origin is not allowed."""

    status = 403


class SlowBody(RequestRefused):
    """The body is not complete in `http.timeout_s`."""

    status = 408


class TooLarge(RequestRefused):
    """The unpacked body has more than `http.max_request_bytes`."""

    status = 413


class UnknownModel(RequestRefused):
    """No model has this name. The message names the known models."""

    status = 404

    @classmethod
    def of(cls, name: str, known: Iterable[str]) -> "UnknownModel":
        return cls(f"no model {shown(name)}; the models are {', '.join(known)}")


class UnknownPath(RequestRefused):
    """No route has this path."""

    status = 404


class WrongMethod(RequestRefused):
    """The path takes another method."""

    status = 405


class TooManyTexts(RequestRefused):
    """More texts than `http.max_texts`."""

    status = 413

    @classmethod
    def check(cls, count: int, most: int) -> None:
        """A dialect checks before it makes requests: a body may hold a million texts. Raises TooManyTexts."""
        if count > most:
            raise cls(f"{count} texts in one request; send {most} at most")


class WrongField(RequestRefused):
    """A field is missing or wrong. The message begins with the name of the field."""

    status = 422


class WrongTask(WrongField):
    """The model does another task. The message names the task, and the models that do the wanted one."""


class _Later(RequestRefused):
    """The same request may succeed after `retry_after_s`."""

    def __init__(self, message: str, retry_after_s: float = 1.0) -> None:
        super().__init__(message, {"Retry-After": str(max(1, round(retry_after_s)))})


class Busy(_Later):
    """More requests or texts in flight than the gateway takes."""

    status = 429


class NotReady(_Later):
    """No replica of the model is up, or the gateway is stopping."""

    status = 503


class Late(RequestRefused):
    """No answer in `http.timeout_s`."""

    status = 504
