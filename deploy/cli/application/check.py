"""`labelstream check`: validates a config before anything starts."""

import logging
from typing import Annotated, Any

import typer

from labelstream.deploy.cli.common.connect import ConfigFile, load_config
from labelstream.deploy.cli.common.console import between, escape, say, with_file
from labelstream.deploy.names import used_models

KINDS = {logging.ERROR: "problem", logging.WARNING: "warning", logging.INFO: "note"}


def check(
    config: ConfigFile,
    connect: Annotated[
        bool,
        typer.Option(
            "--connect",
            help="Also check topics and permissions at the brokers, look for GPUs, and load every model. Hub models "
            "that are missing in the cache are downloaded.",
        ),
    ] = False,
    cluster: Annotated[
        bool,
        typer.Option(
            "--cluster", help="With --connect: skip this machine's GPUs, because the config is for a cluster."
        ),
    ] = False,
) -> None:
    """Check a config file, and print what it sets up.

    Each problem is one line: the setting, what is wrong, and what to do. Exit code 0: no problem. 1: --connect found a
    problem. 2: the config file is wrong.
    """
    settings = load_config(config)
    for text in _summary(settings):
        typer.echo(escape(text))
    if not connect:
        brokers = "" if settings.kafka is None else "brokers, topics, permissions, "
        typer.echo(f"The config is valid. `--connect` also checks {brokers}this machine and models.")
        return
    from labelstream.deploy.cli.application import preflight

    logging.getLogger("labelstream.workers").setLevel(logging.CRITICAL)  # the findings report the same
    say("checking this machine" if settings.kafka is None else "checking brokers, topics and permissions")
    problems = preflight.show_findings(preflight.place_findings(settings, local=not cluster), _say)
    say("looking for the models (not loaded, because of the problems above)" if problems else "loading the models")
    look = preflight.find_model if problems else preflight.load_model
    descriptions: dict[str, Any] = {}
    problems += preflight.show_findings(preflight.model_findings(settings.models, look, descriptions), _say)
    if look is preflight.load_model:
        problems += preflight.show_findings(preflight.route_findings(settings, descriptions), _say)
    if problems:
        raise typer.Exit(1)
    typer.echo("The config is valid, and everything it names was found.")


def _say(level: int, line: str) -> None:
    """Print problems to stderr, the rest to stdout."""
    (say if level >= logging.ERROR else typer.echo)(with_file(f"{KINDS[level]}: {escape(line)}"))


def topics_line(pipeline: Any) -> str:
    """All topics of a pipeline."""
    from labelstream.workers.records.routes import route_topics

    routes = ", ".join(topic for topic in route_topics(pipeline.route) if topic != pipeline.output)
    routed = f", routed results to {routes}" if routes else ""
    review = "" if pipeline.review is None else f", review to {pipeline.review}"
    return f"{pipeline.inputs} -> {pipeline.output}{routed}{review}, dead letters to {pipeline.dead_letter}"


def _kafka_line(kafka: Any) -> str:
    security = kafka.security
    login = f", {security.sasl_mechanism} as {security.username}" if security.sasl_mechanism else ""
    return f"kafka: {kafka.bootstrap_servers}, {security.protocol}{login}"


def _http_line(http: Any) -> str:
    access = "with a token" if http.has_token else "without a token"
    return f"http: {http.url}, {access}, all models, {between(http.replicas, 'gateway replica')}"


def _summary(settings: Any) -> list[str]:
    lines = [] if settings.kafka is None else [_kafka_line(settings.kafka)]
    if settings.http is not None:
        lines.append(_http_line(settings.http))
    used = used_models(settings)
    for name, model in settings.models.items():
        revision = f", revision {model.revision}" if model.revision else ""
        unused = "" if name in used else " (not started: no pipeline uses it)"
        replicas = between(model.replicas, "replica")
        lines.append(f"model {name}: {model.source}{revision}, {replicas}, device {model.device}{unused}")
    for name, pipeline in settings.pipelines.items():
        shape = f", records with the field {pipeline.enrich_field}" if pipeline.output_shape == "enrich" else ""
        lines.append(
            f"pipeline {name}: {topics_line(pipeline)}, "
            f"model {', '.join(pipeline.allowed_models)}, {between(pipeline.workers, 'worker')}, "
            f"group {settings.group_id(name)}, {pipeline.delivery}{shape}"
        )
    return lines
