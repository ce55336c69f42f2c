"""A model's settings in the engine's words."""

from dataclasses import fields

from labelstream.workers.engine.options import ModelOptions
from labelstream.workers.settings import ModelSettings

_NAMES = {field.name for field in fields(ModelOptions)}


def options_of(settings: ModelSettings) -> ModelOptions:
    """What the engine is told of `settings`; the names are the same."""
    return ModelOptions(**settings.model_dump(include=_NAMES))
