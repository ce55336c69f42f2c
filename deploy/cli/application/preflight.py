"""Is what a config names really there? Brokers, topics, permissions, machine and models; every finding is one line."""

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


def start_findings(settings: Any, metrics: MetricsAddress | None) -> Iterator[Finding]:
    """All that keeps `labelstream run` from starting on this machine, in seconds, each as it is found."""
    yield from kafka_findings(settings)
    yield from local_findings(settings, metrics)
    yield from model_findings({name: settings.models[name] for name in used_models(settings)}, find_model)


def place_findings(settings: Any, local: bool) -> Iterator[Finding]:
    """Of brokers and, where `local`, of this machine, which is to run it; not of models."""
    yield from kafka_findings(settings)
    if local:
        yield from local_findings(settings)


def show_findings(findings: Iterable[Finding], say: Callable[[int, str], None]) -> int:
    """One line each by `say(level, line)`, problems at ERROR; returns how many problems there are."""
    problems = 0
    for finding in findings:
        problems += finding.is_problem
        kind = "problem" if finding.is_problem else logging.getLevelName(finding.level).lower().replace("info", "note")
        say(min(finding.level, logging.ERROR), f"{kind}: {' '.join(str(finding).split())}")
    return problems


def model_findings(models: dict[str, Any], check: Callable[[Any], None]) -> Iterator[Finding]:
    """`check`: raises ModelError for what is wrong with a model's settings."""
    from labelstream.workers.model_source import is_path

    for name, model in models.items():
        try:
            check(model)
        except ModelError as error:
            yield Finding(f"models.{name}.source", str(error))
            continue
        if model.revision is None and not is_path(model.source):
            text = "is not set, so a replica that starts later may get another model; pin it to a commit of the hub"
            yield Finding(f"models.{name}.revision", text, logging.INFO)


def find_model(model: Any) -> None:
    """Is it there, and can its files be read? What is on the hub alone is asked for there, and not downloaded."""
    from huggingface_hub import HfApi, try_to_load_from_cache

    from labelstream.workers.engine.description import TaskName
    from labelstream.workers.engine.inspection.child_process import inspect_in_child
    from labelstream.workers.engine.loading.hub import locate
    from labelstream.workers.engine.loading.labels import check_labels
    from labelstream.workers.engine.loading.model_files import missing_weights
    from labelstream.workers.model_source import is_path

    if not is_path(model.source):
        with suppress(Exception):  # locate says why, in its words
            cached = try_to_load_from_cache(model.source, "config.json", revision=model.revision)
            if not isinstance(cached, str) or missing_weights(Path(cached).parent):
                HfApi().model_info(model.source, revision=model.revision, timeout=HUB_TIMEOUT_S)
            return
    folder = locate(model.source, model.revision)
    inspect_in_child(model.source, folder)
    if model.task in (TaskName.TEXT_CLASSIFICATION, TaskName.ZERO_SHOT):
        config = json.loads((folder / "config.json").read_bytes())
        check_labels(model.source, config, zero_shot=model.task is TaskName.ZERO_SHOT)


def load_model(model: Any) -> None:
    """As a replica would, on the CPU."""
    from labelstream.workers.engine.loading.hub import locate

    locate(model.source, model.revision)
    from labelstream.workers.engine.loading.loader import load  # torch: not before there is something to load

    load(model.source, model.model_copy(update={"device": "cpu", "dtype": "auto"}))


def kafka_findings(settings: Any) -> Iterator[Finding]:
    """Brokers, and topics, permissions and groups of all pipelines."""
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
        text = "this is an in-memory broker, which makes topics by itself and permits all"
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
