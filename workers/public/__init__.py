"""The Python package of Labelstream: an engine that classifies in this process, and a client of the HTTP gateway."""

from typing import TYPE_CHECKING

__all__ = [
    "Answer",
    "Answered",
    "AsyncClient",
    "Client",
    "Embedding",
    "Engine",
    "Fault",
    "Fill",
    "GatewayError",
    "GatewayUnavailable",
    "InferenceError",
    "LabelScore",
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
    from labelstream.workers.client.async_client import AsyncClient
    from labelstream.workers.client.client import Client
    from labelstream.workers.client.messages import LabelScore
    from labelstream.workers.engine.engine import Engine
    from labelstream.workers.errors import (
        GatewayError,
        GatewayUnavailable,
        InferenceError,
        LabelstreamError,
        ModelError,
    )
else:
    _PLACES = {
        "Engine": "engine.engine",
        "Client": "client.client",
        "AsyncClient": "client.async_client",
        "LabelScore": "client.messages",
    } | dict.fromkeys(
        ("GatewayError", "GatewayUnavailable", "InferenceError", "LabelstreamError", "ModelError"), "errors"
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
