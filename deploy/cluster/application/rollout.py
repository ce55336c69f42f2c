"""Deploys or updates the application, and waits until it runs."""

import logging
import time
from collections.abc import Callable

from ray import serve
from ray.serve.schema import ApplicationStatus

from labelstream.deploy.cluster.application.control_client import status
from labelstream.deploy.cluster.serve_errors import cause_in, raise_own_error
from labelstream.deploy.control.deployed import Owner
from labelstream.deploy.control.worker_start import unjoined
from labelstream.deploy.names import APP, BOARD
from labelstream.workers.errors import StartError
from labelstream.workers.settings.application import Settings

logger = logging.getLogger(__name__)
DEPLOY_TIMEOUT_S = 1_800.0  # a first start may download models
POLL_S = 0.25
PROGRESS_S = 15.0


def deploy(
    settings: Settings,
    timeout_s: float = DEPLOY_TIMEOUT_S,
    app: serve.Application | None = None,
    on_progress: Callable[[dict[str, str]], None] | None = None,
    owner: Owner | None = None,
) -> None:
    """Deploy or update the application, and wait until every model is loaded and every worker has joined its group.

    - `app`: replaces `application(settings, owner=owner)`.
    - `on_progress`: gets the state of each deployment as it changes.

    Raises StartError, or the LabelstreamError that a replica raised, in one line. A failed application stays deployed
    until `undeploy` or the end of `ray_for`.
    """
    from labelstream.deploy.app import application, route_prefix  # not needed by `status`, which starts faster without

    before = serve.status().applications.get(APP)
    stale = {} if before is None else {name: found.message for name, found in before.deployments.items()}
    app = app or application(settings, owner=owner)
    target = serve.RunTarget(target=app, name=APP, route_prefix=route_prefix(settings))
    serve.run_many([target], wait_for_ingress_deployment_creation=False, wait_for_applications_running=False)
    deadline, again_at = time.monotonic() + timeout_s, time.monotonic() + PROGRESS_S
    seen: dict[str, str] = {}
    while waiting := _waiting(on_progress, seen, stale):
        if time.monotonic() > deadline:
            raise StartError(
                f"not started after {timeout_s:g} s: {', '.join(waiting)}; check the cluster's free resources and the "
                "logs"
            )
        if time.monotonic() > again_at:
            again_at += PROGRESS_S
            logger.info("still waiting for %s", ", ".join(waiting))
        time.sleep(POLL_S)


def _waiting(
    on_progress: Callable[[dict[str, str]], None] | None, seen: dict[str, str], stale: dict[str, str]
) -> list[str]:
    """What has not started yet: deployments, or the workers that have not joined. See `_running`."""
    if not _running(on_progress, seen, stale):
        return [name for name, state in seen.items() if state != "HEALTHY"] or ["Serve"]
    deployments = serve.status().applications[APP].deployments
    if BOARD not in deployments:
        return []
    try:
        return unjoined(deployments, status()["pipelines"])
    except StartError as error:
        logger.debug("%s", error)
        return [BOARD]


def _running(on_progress: Callable[[dict[str, str]], None] | None, seen: dict[str, str], stale: dict[str, str]) -> bool:
    """Whether everything is up; updates `seen`. Raises the error of a failed deployment.

    `stale`: messages of the deployments from before the update, which stay until Serve starts on it.
    """
    app = serve.status().applications.get(APP)
    if app is None:
        return False
    states = {name: str(deployment.status.value) for name, deployment in app.deployments.items()}
    if states != seen:
        seen.update(states)
        if on_progress is not None:
            on_progress(states)
    # Serve tries three times. These errors need a person, so the first failure is enough.
    for name, deployment in app.deployments.items():
        if deployment.message != stale.get(name):
            raise_own_error(deployment.message)
    if app.status == ApplicationStatus.DEPLOY_FAILED:
        reasons = [d.message for d in app.deployments.values() if "UNHEALTHY" in str(d.status)] or [app.message]
        raise StartError(f"the application cannot be deployed: {cause_in(reasons[0])}")
    return app.status == ApplicationStatus.RUNNING
