"""`labelstream check`: what is wrong with a config, before anything is started."""

import logging
from typing import Annotated, Any

import typer

from labelstream.deploy.cli.common.connect import ConfigFile, load_config
from labelstream.deploy.cli.common.console import escape, plural, say
from labelstream.deploy.names import used_models


def check(
    config: ConfigFile,
    connect: Annotated[
        bool,
        typer.Option(
            "--connect",
            help="Also ask the brokers for topics and permissions, look for GPUs, and load every model "
            "(a hub model that is not in the cache is downloaded).",
        ),
    ] = False,
    cluster: Annotated[
        bool,
        typer.Option("--cluster", help="With --connect: it runs on a cluster. This machine's GPUs do not matter."),
    ] = False,
) -> None:
    """Check a config file and say what it means.

    Exit code 0: all well. 2: the file is wrong. 1: --connect found something missing outside; every problem is one
    line with the setting at fault and what to do.
    """
    settings = load_config(config)
    for text in _summary(settings):
        typer.echo(escape(text))
    if not connect:
        typer.echo("The config is valid. --connect also checks brokers, topics, permissions, this machine and models.")
        return
    from labelstream.deploy.cli.application import preflight

    logging.getLogger("labelstream.workers").setLevel(logging.CRITICAL)  # what they would log comes as a finding
    say("asking the brokers")
    problems = preflight.show_findings(preflight.place_findings(settings, local=not cluster), _say)
    say("looking for the models, which are not loaded" if problems else "loading the models to see that they answer")
    look = preflight.find_model if problems else preflight.load_model
    problems += preflight.show_findings(preflight.model_findings(settings.models, look), _say)
    if problems:
        raise typer.Exit(1)
    typer.echo("The config is valid, and everything that it names is there.")


def _say(level: int, line: str) -> None:
    """Problems to stderr."""
    (say if level >= logging.ERROR else typer.echo)(escape(line))


def _summary(settings: Any) -> list[str]:
    security = settings.kafka.security
    login = f", {security.sasl_mechanism} as {security.username}" if security.sasl_mechanism else ""
    lines = [f"kafka: {settings.kafka.bootstrap_servers}, {security.protocol}{login}"]
    used = used_models(settings)
    for name, model in settings.models.items():
        revision = f", revision {model.revision}" if model.revision else ""
        replicas = (
            f"{model.replicas.min} to {model.replicas.max}"
            if model.replicas.max > model.replicas.min
            else str(model.replicas.min)
        )
        unused = "" if name in used else " (no pipeline uses it: it is not started)"
        replicas = plural(replicas, "replica")
        lines.append(f"model {name}: {model.source}{revision}, {replicas}, device {model.device}{unused}")
    for name, pipeline in settings.pipelines.items():
        lines.append(
            f"pipeline {name}: {pipeline.input} -> {pipeline.output}, dead letters to {pipeline.dead_letter}, "
            f"model {', '.join(pipeline.allowed_models)}, {plural(pipeline.workers.max, 'worker')}, "
            f"group {settings.group_id(name)}, {pipeline.delivery}"
        )
    return lines
