"""Is what a config names really there? Brokers, topics, permissions and models; every finding is one line."""

from contextlib import closing
from logging import INFO
from typing import Any

from labelstream.deploy.cli.common.console import one_line
from labelstream.workers.errors import LabelstreamError, StartError
from labelstream.workers.stream.broker.finding import Finding


def model_findings(settings: Any) -> list[Finding]:
    """Load each model as a replica would, on the CPU, and let go of it."""
    from labelstream.workers.engine.loading.hub import resolve

    findings = []
    for name, model in settings.models.items():
        try:
            resolve(model.source, model.revision)
            from labelstream.workers.engine.loading.loader import load  # torch: not before there is something to load

            load(model.source, model.model_copy(update={"device": "cpu", "dtype": "auto"}))
        except LabelstreamError as error:
            findings.append(Finding(f"models.{name}.source", one_line(error)))
    return findings


def kafka_findings(settings: Any) -> list[Finding]:
    """Brokers, and topics, permissions and groups of all pipelines."""
    from kafka import KafkaAdminClient

    from labelstream.workers.stream.broker.connection import connected_config, is_in_memory, translate_kafka_errors
    from labelstream.workers.stream.broker.topic_check import TopicCheck

    findings: list[Finding] = []
    try:
        config = connected_config(settings.kafka)
        if is_in_memory(config):
            return [Finding("kafka", "this is an in-memory broker, which makes topics by itself and permits all", INFO)]
        with translate_kafka_errors(settings.kafka), closing(KafkaAdminClient(**config)) as admin:
            for name, pipeline in settings.pipelines.items():
                findings += TopicCheck(admin, name, pipeline, settings.group_id(name)).findings
    except StartError as error:
        key, _, text = one_line(error).partition(": ")
        findings.append(Finding(key, text))
    return findings
