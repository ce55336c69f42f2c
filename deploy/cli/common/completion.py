"""Shell completion: pipelines and topics of the config that -c names, else of ./labelstream.yaml.

Completion only reads that file. A wrong file completes nothing: an error message would land in the prompt.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import typer

DEFAULT_CONFIG = Path("labelstream.yaml")
TOPICS = ("output", "dead_letter", "review")


def complete_pipeline(ctx: typer.Context, incomplete: str) -> list[str]:
    return _matching(_pipelines(ctx), incomplete)


def complete_pipeline_or_topic(ctx: typer.Context, incomplete: str) -> list[str]:
    return _matching([*_pipelines(ctx), *_topics(ctx)], incomplete)


def _matching(names: Iterable[Any], incomplete: str) -> list[str]:
    return sorted({name for name in names if isinstance(name, str) and name.startswith(incomplete)})


def _topics(ctx: typer.Context) -> list[Any]:
    settings = [pipeline for pipeline in _pipelines(ctx).values() if isinstance(pipeline, dict)]
    rules = [rule for pipeline in settings if isinstance(rules := pipeline.get("route"), list) for rule in rules]
    routes = [rule.get("topic") for rule in rules if isinstance(rule, dict)]
    inputs = [pipeline.get("input") for pipeline in settings]
    named = [name for names in inputs for name in (names if isinstance(names, list) else [names])]
    return [*named, *(pipeline.get(key) for pipeline in settings for key in TOPICS), *routes]


def _pipelines(ctx: typer.Context) -> dict[Any, Any]:
    """The `pipelines` section of the config file, unchecked. Empty if the file cannot be read."""
    import yaml

    try:
        config = Path(ctx.params.get("config") or DEFAULT_CONFIG).expanduser()
        found = yaml.safe_load(config.read_text(encoding="utf-8"))["pipelines"]
    except Exception:
        return {}
    return found if isinstance(found, dict) else {}
