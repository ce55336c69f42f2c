"""Labelstream: text classification from Kafka to Kafka, on Ray Serve; `labelstream.workers` holds the stream and the
engine, `labelstream.deploy` the Serve application and the command, `labelstream.schemas` the payloads."""

from typing import TYPE_CHECKING

__all__ = [
    "Answer",
    "Answered",
    "Embedding",
    "Engine",
    "Fault",
    "Fill",
    "InferenceError",
    "LabelstreamError",
    "MaskFill",
    "ModelError",
    "Prediction",
    "RecordError",
    "Request",
]

# A type checker shall not see `__getattr__`: a misspelt name would pass.
if TYPE_CHECKING:
    from labelstream.workers.classifier import (
        Answer,
        Answered,
        Embedding,
        Fault,
        Fill,
        MaskFill,
        Prediction,
        RecordError,
        Request,
    )
    from labelstream.workers.engine.engine import Engine
    from labelstream.workers.errors import InferenceError, LabelstreamError, ModelError
else:
    _PLACES = {"Engine": "engine.engine"} | dict.fromkeys(
        ("InferenceError", "LabelstreamError", "ModelError"), "errors"
    )

    def __getattr__(name: str) -> object:
        """Imports what is asked for, when it is: only `Engine` brings torch."""
        from importlib import import_module

        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        found = getattr(import_module(f"labelstream.workers.{_PLACES.get(name, 'classifier')}"), name)
        globals()[name] = found
        return found

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
