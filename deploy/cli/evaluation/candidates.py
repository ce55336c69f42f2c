"""The models to evaluate: sources or models of the config, each with its options."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from labelstream.deploy.cli.common.arguments import DEMO_MODEL
from labelstream.workers.errors import ConfigError

DEMO = "the demo's small sentiment model"


class Candidate(NamedTuple):
    """`name`: as the user named it. `options`: of `Engine.load`. `given`: those of them from the command line."""

    name: str
    source: str
    options: Mapping[str, Any]
    given: Mapping[str, Any] = {}


def first_candidate(model: str | None, options: Mapping[str, Any], models: Mapping[str, Any]) -> Candidate:
    """The model of --model. `models`: the config's, by name. Raises ConfigError if several could be meant."""
    if model is None and len(models) > 1:
        raise ConfigError("--model", "is missing", f"name one of the config's models: {', '.join(models)}")
    name = next(iter(models), "") if model is None else model
    found = _of_config(name, models) if name in models else Candidate(name or DEMO, name or str(DEMO_MODEL), {})
    return found._replace(options={**found.options, **options}, given=options)


def compared(spec: str, first: Candidate, options: Mapping[str, Any], models: Mapping[str, Any]) -> Candidate:
    """The model of --compare `[MODEL][,KEY=VALUE...]`. Without MODEL `first`, with other options.

    `options`: those of all models. Raises ConfigError.
    """
    head, *rest = spec.split(",")
    parts = [head, *rest] if "=" in head else rest
    own = options_of(parts, "--compare")
    if parts == [head, *rest]:
        return first._replace(name=f"{first.name} {' '.join(parts)}", options={**first.options, **own})
    base = _of_config(head, models) if head in models else Candidate(head, head, {})
    return Candidate(" ".join((head, *rest)), base.source, {**base.options, **options, **own})


def options_of(parts: Sequence[str], option: str) -> dict[str, Any]:
    """Model options from KEY=VALUE, with values as in the config file. Raises ConfigError naming `option`."""
    import yaml

    found: dict[str, Any] = {}
    for part in parts:
        key, equals, value = part.partition("=")
        if not equals or not key.strip():
            raise ConfigError(option, f"{part!r} is not KEY=VALUE", "for example dtype=bfloat16")
        try:
            found[key.strip()] = yaml.safe_load(value)
        except yaml.YAMLError:
            found[key.strip()] = value
    return found


def _of_config(name: str, models: Mapping[str, Any]) -> Candidate:
    from labelstream.workers.engine.options import ModelOptions

    settings = models[name]
    used = {*ModelOptions.model_fields, "max_batch_tokens"} & settings.model_fields_set
    return Candidate(name, settings.source, {key: getattr(settings, key) for key in used})
