"""Checks everything a config names: brokers, topics, permissions, machine and models. Each finding is one line."""

import json
import logging
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from labelstream.deploy.cli.application.machine_check import local_findings
from labelstream.deploy.cluster.metrics_endpoint import MetricsAddress
from labelstream.deploy.names import used_models
from labelstream.workers.errors import LabelstreamError, ModelError
from labelstream.workers.stream.broker.finding import Finding

HUB_TIMEOUT_S = 5.0


def start_findings(settings: Any, metrics: MetricsAddress | None, runs: bool = False) -> Iterator[Finding]:
    """Everything that prevents `labelstream run` from starting on this machine. Takes seconds. `runs`: it runs here."""
    yield from kafka_findings(settings)
    yield from local_findings(settings, metrics, runs)
    yield from model_findings({name: settings.models[name] for name in used_models(settings)}, find_model)


def place_findings(settings: Any, local: bool) -> Iterator[Finding]:
    """Findings on the brokers, and on this machine if `local`. Models are left out."""
    yield from kafka_findings(settings)
    if local:
        yield from local_findings(settings)


def show_findings(findings: Iterable[Finding], say: Callable[[int, str], None]) -> int:
    """Call `say(level, line)` for each finding: ERROR is a problem, WARNING or INFO. Returns the number of problems."""
    problems = 0
    for finding in findings:
        problems += finding.is_problem
        say(min(finding.level, logging.ERROR), " ".join(str(finding).split()))
    return problems


def model_findings(
    models: dict[str, Any], check: Callable[[Any], Any], descriptions: dict[str, Any] | None = None
) -> Iterator[Finding]:
    """Findings on each model. `check` raises ModelError if a model's settings are wrong.

    `descriptions`: gets what `check` returns for each sound model.
    """
    from labelstream.workers.model_source import is_path

    for name, model in models.items():
        try:
            description = check(model)
        except ModelError as error:
            yield Finding(f"models.{name}.source", str(error))
            continue
        if descriptions is not None:
            descriptions[name] = description
        if model.revision is None and not is_path(model.source):
            text = "not set, so a replica that starts later may load another version; set it to a commit of the hub"
            yield Finding(f"models.{name}.revision", text, logging.INFO)


def route_findings(settings: Any, descriptions: dict[str, Any]) -> Iterator[Finding]:
    """Labels of rules that no model of their pipeline has. `descriptions`: of the models by their names."""
    from labelstream.deploy.deployments.stream_worker import check_route

    for name, pipeline in settings.pipelines.items():
        if pipeline.route and descriptions.keys() >= set(pipeline.allowed_models):
            try:
                check_route(name, settings, {model: descriptions[model] for model in pipeline.allowed_models})
            except LabelstreamError as error:
                yield Finding.of(error)


def find_model(model: Any) -> None:
    """Check that the model exists and its files are readable. A model only on the hub is not downloaded.

    Raises ModelError.
    """
    from huggingface_hub import HfApi, try_to_load_from_cache

    from labelstream.workers.engine.description import TaskName
    from labelstream.workers.engine.inspection.child_process import inspect_in_child
    from labelstream.workers.engine.loading.hub import locate
    from labelstream.workers.engine.loading.labels import check_labels
    from labelstream.workers.engine.loading.model_files import missing_weights
    from labelstream.workers.model_source import is_path

    if not is_path(model.source):
        with suppress(Exception):  # `locate` below reports the error
            cached = try_to_load_from_cache(model.source, "config.json", revision=model.revision)
            if not isinstance(cached, str) or missing_weights(Path(cached).parent):
                HfApi().model_info(model.source, revision=model.revision, timeout=HUB_TIMEOUT_S)
            return
    folder = locate(model.source, model.revision)
    inspect_in_child(model.source, folder)
    if model.task in (TaskName.TEXT_CLASSIFICATION, TaskName.ZERO_SHOT):
        config = json.loads((folder / "config.json").read_bytes())
        check_labels(model.source, config, zero_shot=model.task is TaskName.ZERO_SHOT, new_names=model.label_names)


def load_model(model: Any) -> Any:
    """Load the model as a replica does, but on the CPU. Returns its description. Raises ModelError."""
    from labelstream.workers.engine.loading.hub import locate

    locate(model.source, model.revision)
    from labelstream.workers.engine.loading.loader import load  # imports torch, which is slow

    return load(model.source, model.model_copy(update={"device": "cpu", "dtype": "auto"}))[0]


def kafka_findings(settings: Any) -> Iterator[Finding]:
    """Findings on the brokers, and on topics, permissions and groups of all pipelines; none without `kafka`."""
    if settings.kafka is None:
        return
    from labelstream.workers.stream.broker.connection import config_for, is_in_memory
    from labelstream.workers.stream.broker.probe import reach

    try:
        cluster = reach(settings.kafka)
    except LabelstreamError as error:
        yield Finding.of(error)
        return
    yield from cluster.findings
    config = config_for(settings.kafka, cluster)
    if is_in_memory(config):
        text = "an in-memory broker, which creates topics on first use and checks no permissions"
        yield Finding("kafka", text, logging.INFO)
    for name in settings.pipelines:
        yield from _pipeline_findings(settings, config, name)


def _pipeline_findings(settings: Any, config: dict[str, Any], name: str) -> Iterator[Finding]:
    from kafka import KafkaAdminClient

    from labelstream.workers.stream.broker.connection import is_in_memory, translate_kafka_errors
    from labelstream.workers.stream.broker.topic_check import TopicCheck
    from labelstream.workers.stream.delivery.transaction_check import check_transactions

    kafka, pipeline, group = settings.kafka, settings.pipelines[name], settings.group_id(name)
    try:
        if not is_in_memory(config):
            with translate_kafka_errors(kafka), closing(KafkaAdminClient(**config)) as admin:
                yield from TopicCheck(admin, name, pipeline, group).findings
        if pipeline.delivery == "exactly_once":
            check_transactions(config, kafka, f"pipelines.{name}.delivery", f"{group}-{uuid.uuid4().hex}")
    except LabelstreamError as error:
        yield Finding.of(error)
