"""The topics of a run, and the settings of an application on them. No Ray here, because bare kafka-python uses them."""

from collections.abc import Mapping
from typing import Any

from labelstream.deploy.names import Topics
from labelstream.workers.config_file import load_settings
from labelstream.workers.settings.application import Settings
from labelstream.workers.settings.kafka import KafkaSettings

MODEL = "m"


def topics_of(run: str) -> Topics:
    """Topic names that are unique if `run` is."""
    return Topics(*(f"labelstream-bench.{run}.{part}" for part in ("texts", "labels", "dead-letters")))


def group_of(topics: Topics) -> str:
    """The consumer group of the worker."""
    return topics.input.replace(".texts", "")


def settings_for(
    kafka: KafkaSettings,
    model: Mapping[str, Any],
    pipelines: Mapping[str, Topics],
    delivery: Mapping[str, str] | None = None,
) -> Settings:
    """Pipelines with the same model, each with one worker. `delivery`: by pipeline, if not at_least_once.

    Secrets come from the environment or from files.
    """
    found = {
        name: {
            **topics._asdict(),
            "model": MODEL,
            "group_id": group_of(topics),
            "delivery": (delivery or {}).get(name, "at_least_once"),
        }
        for name, topics in pipelines.items()
    }
    return load_settings({"kafka": plain(kafka), "models": {MODEL: dict(model)}, "pipelines": found})


def plain(kafka: KafkaSettings) -> dict[str, Any]:
    """The settings as plain data, without secrets."""
    return kafka.model_dump(mode="json", exclude_unset=True, exclude={"security": {"password", "key_password"}})
