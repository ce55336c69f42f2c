"""Calls the control plane of the application: its status, its owner and config, and an operator's commands."""

import logging
from contextlib import suppress
from typing import Any

import ray
from ray import serve
from ray.exceptions import RayError
from ray.serve.exceptions import RayServeException

from labelstream.deploy.cluster.serve_errors import cause_in
from labelstream.deploy.control.deployed import Deployed, UserConfig
from labelstream.deploy.control.live_replicas import live_replicas
from labelstream.deploy.control.reports import COMMAND_S, Outcome, Status
from labelstream.deploy.names import APP, BOARD
from labelstream.workers.errors import StartError
from labelstream.workers.settings.pipeline import PipelineSettings
from labelstream.workers.stream.supervision.commands import Command

logger = logging.getLogger(__name__)
DEPLOYED_S = 5.0


class NoApplication(StartError):
    """The cluster has no application of Labelstream."""


def status(timeout_s: float = 10.0) -> Status:
    """See `ControlPlane.status`; with the replicas that Serve knows to live. Raises StartError if nothing answers."""
    found: Status = _ask_board("status", timeout_s)
    with suppress(RayServeException, RayError, KeyError):
        found["replicas"] = live_replicas()
    return found


def command(pipeline: str, order: Command) -> Outcome:
    """See `ControlPlane.command`. Raises StartError like `status`."""
    return _ask_board("command", COMMAND_S + 10, pipeline, order)


def _ask_board(method: str, timeout_s: float, *arguments: object) -> Any:
    if not ray.is_initialized():  # otherwise Serve would start a Ray to look into
        raise StartError("BUG: not connected to Ray")
    response: Any = None
    try:
        response = serve.get_deployment_handle(BOARD, APP).options(method_name=method).remote(*arguments)
        return response.result(timeout_s=timeout_s)
    except (RayServeException, RayError, KeyError, TimeoutError) as error:
        if response is not None:
            response.cancel()
        if _is_gone():
            raise NoApplication(
                f"there is no application {APP} on this cluster; deploy one with `labelstream apply`"
            ) from None
        raise StartError(f"the application does not answer: {cause_in(str(error))}") from None


def _is_gone() -> bool:
    """Whether the application is gone: Serve keeps handles of deleted applications."""
    try:
        return APP not in serve.status().applications
    except (RayServeException, RayError, TimeoutError):
        return False


def deployed() -> Deployed | None:
    """The application on the connected cluster, if any."""
    app = serve.status().applications.get(APP)
    if app is None:
        return None
    found: UserConfig | None = None
    if BOARD in app.deployments:
        try:
            found = _ask_board("deployed", DEPLOYED_S)
        except StartError as error:
            logger.debug("%s", error)
    if found is None:
        return Deployed(None, None, PipelineSettings.model_fields["drain_timeout_s"].default)
    return Deployed(**found)
