"""Checks this machine for one config: disk and memory, the GPUs that the models reserve, a free metrics port."""

import logging
from typing import Any

from labelstream.deploy.cluster.machine import machine_findings
from labelstream.deploy.cluster.metrics_endpoint import MetricsAddress
from labelstream.deploy.gateway.proxy.port_check import http_findings
from labelstream.deploy.names import used_models
from labelstream.workers.errors import ConfigError
from labelstream.workers.stream.broker.finding import Finding


def local_findings(settings: Any, metrics: MetricsAddress | None = None, runs: bool = False) -> list[Finding]:
    """Warnings and problems of this machine. A local Ray only has the GPUs of this machine. `runs`: the application
    runs here, and has its port.
    """
    from labelstream.deploy.deployments.gpus import num_gpus

    findings = [finding for finding in machine_findings(settings) if finding.level > logging.INFO]
    asked: dict[str, float] = {}
    for name in used_models(settings):
        try:
            asked[name] = num_gpus(name, settings.models[name])
        except ConfigError as error:
            findings.append(Finding.of(error))
    findings += _gpu_findings(settings, {name: count for name, count in asked.items() if count > 0})
    if settings.http is not None:
        findings += http_findings(settings.http, listens=runs)
    if settings.http is not None and not settings.http.is_local and settings.http.cert_file is None:
        text = "is not set, so the token and the texts travel unencrypted; set cert_file and key_file, or put a proxy "
        findings.append(Finding("http.cert_file", f"{text}with TLS before the port", logging.WARNING))
    if metrics is not None and (problem := metrics.problem()):
        findings.append(Finding(*problem))
    return findings


def _gpu_findings(settings: Any, asked: dict[str, float]) -> list[Finding]:
    """`asked`: model name -> GPUs that each replica reserves."""
    if not asked:
        return []
    present = gpus_here()
    fix = "set device to cpu, or run on a cluster with GPUs (--address)"
    if present == 0:
        return [
            Finding(f"models.{name}.num_gpus", f"each replica reserves {count:g} GPU, but this machine has none; {fix}")
            for name, count in asked.items()
        ]
    wanted = sum(count * settings.models[name].replicas.min for name, count in asked.items())
    if wanted <= present:
        return []
    text = f"the replicas reserve {wanted:g} GPUs in total, but this machine has {present}; lower replicas.min, {fix}"
    return [Finding(f"models.{','.join(asked)}", text)]


def gpus_here() -> int:
    """The GPUs that Ray counts: without those that CUDA_VISIBLE_DEVICES and its like hide."""
    from ray._private.accelerators import get_accelerator_manager_for_resource

    manager: Any = get_accelerator_manager_for_resource("GPU")
    present, visible = (
        manager.get_current_node_num_accelerators(),
        manager.get_current_process_visible_accelerator_ids(),
    )
    return present if visible is None else min(present, len(visible))
