"""`labelstream doctor`: checks whether this machine can run Labelstream."""

import logging
import os
from pathlib import Path
from typing import Annotated, Any

import typer

from labelstream.deploy.cli.common.console import escape, plural

WORDS = {logging.INFO: "ok", logging.WARNING: "warning", logging.CRITICAL: "problem"}


def doctor(
    config: Annotated[
        Path | None,
        typer.Option("--config", "-c", metavar="FILE", help="Config file (YAML). Also check the room for its models."),
    ] = None,
) -> None:
    """Check whether this machine can run Labelstream: one line per check, with the fix for each problem.

    `run`, `demo` and `bench` make the same checks before they start anything. Exit code 0: `labelstream run` can start
    Ray here. 1: at least one problem prevents that.
    """
    from labelstream.deploy.cli.common.connect import load_config
    from labelstream.deploy.cluster.machine import machine_findings

    findings = [*machine_findings(load_config(config) if config else None), _torch(), _caches()]
    for finding in findings:
        typer.echo(escape(f"{WORDS[finding.level]:8} {finding.key:14} {finding.text}"))
    problems = sum(finding.is_problem for finding in findings)
    if problems:
        typer.echo(f"{plural(problems, 'problem')}: `labelstream run` cannot start here.")
        raise typer.Exit(1)
    typer.echo("`labelstream run` can start here.")


def _torch() -> Any:
    """The GPUs that torch sees. Importing torch takes seconds, so `run` leaves this check out."""
    import torch

    from labelstream.deploy.cluster.machine import gpus
    from labelstream.workers.stream.broker.finding import Finding

    seen = [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())]
    if len(seen) < gpus():
        fix = "install a torch that fits the driver, or check CUDA_VISIBLE_DEVICES"
        return Finding("torch's GPUs", f"torch sees {len(seen)} of {gpus()}; {fix}", logging.WARNING)
    return Finding("torch's GPUs", ", ".join(seen) or "none", logging.INFO)


def _caches() -> Any:
    from huggingface_hub.constants import HF_ASSETS_CACHE, HF_HUB_CACHE

    from labelstream.workers.stream.broker.finding import Finding

    folders = {"models": Path(HF_HUB_CACHE), "conversions": Path(HF_ASSETS_CACHE) / "labelstream"}
    told = [f"{name} {_mib(folder)} MiB in {folder}" for name, folder in folders.items()]
    return Finding("caches", ", ".join(told), logging.INFO)


def _mib(folder: Path) -> int:
    """MiB of all files. Links, which the hub's cache is full of, count nothing."""
    paths = (Path(root, name) for root, _, names in os.walk(folder) for name in names)
    return sum(path.lstat().st_size for path in paths) >> 20
