"""Tells which pipelines of a deployed application have workers that are still joining their consumer groups."""

from collections.abc import Mapping
from typing import Any

from labelstream.deploy.control.reports import PlacedPipelineReport, fresh
from labelstream.deploy.names import pipeline_deployment

LEAVING = ("draining", "drained")


def unjoined(deployments: Mapping[str, Any], reports: Mapping[str, Mapping[str, PlacedPipelineReport]]) -> list[str]:
    """The pipelines' deployments with a worker that has not reported yet, or has not joined its consumer group.

    `deployments`: Serve's details by deployment; `reports`: those of the workers by pipeline.
    """
    found: list[str] = []
    for name, workers in reports.items():
        deployment = pipeline_deployment(name)
        states = [worker["state"] for worker in fresh(workers).values()]
        here = [state for state in states if state not in LEAVING]
        wanted = deployments[deployment].replica_states.get("RUNNING", 0) if deployment in deployments else 0
        if "starting" in here or len(here) < wanted:
            found.append(deployment)
    return found
