"""Contradictions between the sections of a config."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any, TypeVar

from pydantic import ValidationError

from labelstream.workers.records.inputs import input_problems
from labelstream.workers.records.routes import route_problems
from labelstream.workers.records.shape import chain_problems
from labelstream.workers.section import Section
from labelstream.workers.settings.http import HttpSettings
from labelstream.workers.settings.kafka import KafkaSettings
from labelstream.workers.settings.pipeline import PipelineSettings

S = TypeVar("S", bound=Section)


def group_id_of(name: str, pipeline: PipelineSettings) -> str:
    return pipeline.group_id or f"labelstream-{name}"


def problems_between(
    kafka: KafkaSettings | None,
    models: Collection[str],
    pipelines: Mapping[str, PipelineSettings],
    http: HttpSettings | None,
) -> Iterator[str]:
    """Contradictions between sections; each text begins with its key."""
    if http is not None and http.default_model is not None:
        yield from _unknown_models("http.default_model", [http.default_model], models)
    groups: dict[str, str] = {}
    for name, pipeline in pipelines.items():
        yield from _unknown_models(f"pipelines.{name}.model", pipeline.allowed_models, models)
        if kafka is not None:
            yield from _problems_of_times(kafka, name, pipeline)
        group = group_id_of(name, pipeline)
        if group in groups:
            yield f"pipelines: {groups[group]} and {name} share the group_id {group!r}: set a different one for each"
        groups.setdefault(group, name)
        yield from input_problems(name, pipelines)
        yield from route_problems(name, pipelines)
    yield from chain_problems(pipelines)


def problems_between_valid_parts(tree: Any) -> Iterator[str]:
    """As `problems_between`, for the valid sections of a tree that has an error."""
    models, pipelines = tree.get("models"), tree.get("pipelines", {})
    if not isinstance(models, dict) or not isinstance(pipelines, dict):
        return
    valid: dict[str, PipelineSettings] = {}
    for name, part in pipelines.items():
        if isinstance(found := _valid(PipelineSettings, part), PipelineSettings):
            valid[name] = found
        elif isinstance(part, dict) and isinstance(part.get("model"), str):
            yield from _unknown_models(f"pipelines.{name}.model", [part["model"]], models)
    http = None if tree.get("http") is None else _valid(HttpSettings, tree["http"])
    yield from problems_between(_valid(KafkaSettings, tree.get("kafka")), models, valid, http)


def _valid(kind: type[S], part: Any) -> S | None:
    try:
        return kind.model_validate(part)
    except ValidationError:
        return None


def _unknown_models(key: str, named: Collection[str], known: Collection[str]) -> Iterator[str]:
    for model in named:
        if model not in known:
            yield (f"{key}: no model {model!r} under models; name one of {', '.join(sorted(map(str, known)))}")


def _problems_of_times(kafka: KafkaSettings, name: str, pipeline: PipelineSettings) -> Iterator[str]:
    if 4 * pipeline.transaction_interval_ms > kafka.transaction_timeout_ms:
        yield (
            f"pipelines.{name}.transaction_interval_ms: {pipeline.transaction_interval_ms} is more "
            f"than a quarter of kafka.transaction_timeout_ms ({kafka.transaction_timeout_ms}), "
            "after which the broker aborts a transaction: lower the first or raise the second"
        )
    if 2_000 * pipeline.rebalance_drain_s > kafka.max_poll_interval_ms:
        yield (
            f"pipelines.{name}.rebalance_drain_s: {pipeline.rebalance_drain_s:g} s is more than half "
            f"of kafka.max_poll_interval_ms ({kafka.max_poll_interval_ms}), after which the "
            "group removes a worker: lower the first or raise the second"
        )
