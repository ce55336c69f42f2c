"""Labelstream: text classification from Kafka to Kafka on Ray Serve; the Python API is the engine for one process."""

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

# Hidden from type checkers: with `__getattr__` they would accept a misspelt name.
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
        """Import a public name at its first use: only `Engine` imports torch."""
        from importlib import import_module

        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        found = getattr(import_module(f"labelstream.workers.{_PLACES.get(name, 'classifier')}"), name)
        globals()[name] = found
        return found

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
