"""The envelope of text-embeddings-inference."""

from typing import Literal

from pydantic import BaseModel

from labelstream.deploy.gateway.served import Busy, NotReady, RequestRefused
from labelstream.deploy.gateway.texts import TextFailed
from labelstream.workers.classifier import MODEL_FAULTS, Fault

ErrorType = Literal["Unhealthy", "Backend", "Overloaded", "Validation", "Tokenizer", "Empty"]


class ErrorResponse(BaseModel):
    """The body of an error."""

    error: str
    error_type: ErrorType


class EmptyBatch(RequestRefused):
    """A list without texts."""

    status = 400


def error_body(error: RequestRefused) -> dict[str, str]:
    """The fields of `ErrorResponse`."""
    return ErrorResponse(error=error.message, error_type=error_type(error)).model_dump()


def error_type(error: RequestRefused) -> ErrorType:
    """The type of `error` in the words of text-embeddings-inference."""
    match error:
        case EmptyBatch():
            return "Empty"
        case Busy():
            return "Overloaded"
        case NotReady():
            return "Unhealthy"
        case TextFailed(fault=Fault.INVALID_MESSAGE):
            return "Tokenizer"
        case TextFailed() if error.fault in MODEL_FAULTS:
            return "Backend"
    return "Backend" if error.status >= 500 else "Validation"
