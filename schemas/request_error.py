"""The body of an error over HTTP, in Labelstream's own dialect."""

from enum import StrEnum
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from labelstream.schemas.dead_letter import Reason


class RequestReason(StrEnum):
    """Why a request has no result, beside the reasons of dead letters."""

    UNAUTHORIZED = "unauthorized"
    """The token is missing or wrong."""
    FORBIDDEN = "forbidden"
    """The gateway does not answer requests of this origin or for this host."""
    METHOD_NOT_ALLOWED = "method_not_allowed"
    """The path takes another method."""
    REQUEST_TIMEOUT = "request_timeout"
    """The request was not complete within `http.timeout_s`."""
    TOO_MANY_TEXTS = "too_many_texts"
    """The request has more texts than `http.max_texts`."""
    UNSUPPORTED_MEDIA_TYPE = "unsupported_media_type"
    """The gateway cannot read this content type or content encoding."""
    WRONG_TASK = "wrong_task"
    """The model does another task."""
    BUSY = "busy"
    """More requests are in flight than the gateway takes; `Retry-After` says when to try again."""
    NOT_READY = "not_ready"
    """No replica of the model is up, or the gateway stops; `Retry-After` says when to try again."""
    LATE = "late"
    """No answer within `http.timeout_s`."""
    INTERNAL_ERROR = "internal_error"
    """A bug in Labelstream; the gateway's log has the error."""


class RequestError(BaseModel):
    """Why a request, or one message of its list, has no result."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, title="RequestError")

    schema_version: Literal[1] = Field(default=1, description="Version of the payload.")
    reason: Reason | RequestReason = Field(description="Why there is no result.")
    message: str = Field(description="The problem and what to do, in one line. Never quotes a text.")
