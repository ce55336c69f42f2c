"""Drains the workers and the gateway of the application, and deletes it."""

import logging
import time
from collections.abc import Collection
from typing import Any

from ray import serve
from ray.exceptions import RayError
from ray.serve.exceptions import RayServeException

from labelstream.deploy.cluster.application.control_client import deployed
from labelstream.deploy.control.deployed import Owner
from labelstream.deploy.names import APP, GATEWAY, is_pipeline, pipeline_deployment
from labelstream.workers.errors import StartError

logger = logging.getLogger(__name__)


def drain(without: Collection[str] = (), gateway: bool = True) -> bool:
    """Stop all workers and the gateway after what is in flight, while the models still answer. True if everything was
    finished.

    - `without`: pipelines that go on.
    - `gateway`: whether the gateway stops.
    """
    from labelstream.deploy.app import STOP_MARGIN_S

    found = deployed()
    if found is None:
        return True
    kept = {pipeline_deployment(name) for name in without}
    pending: list[Any] = []
    for name in serve.status().applications[APP].deployments:
        if not (is_pipeline(name) or (gateway and name == GATEWAY)) or name in kept:
            continue
        try:
            pending.append(serve.get_deployment_handle(name, APP).broadcast("drain"))
        except (RayServeException, KeyError):  # Serve broadcasts handles: KeyError until the handle has arrived
            logger.debug("there is no %s", name)
    deadline = time.monotonic() + found.drain_timeout_s + STOP_MARGIN_S
    drained = True
    for response in pending:
        try:
            remaining_s = max(0.1, deadline - time.monotonic())
            results = response.results(timeout_s=remaining_s, return_exceptions=True)
            drained = drained and all(result is True for result in results)
        except (RayServeException, RayError, TimeoutError) as error:
            logger.debug("a deployment could not be drained: %s", error)
            drained = False
    return drained


def undeploy(owner: Owner | None = None) -> bool:
    """Drain the workers, then delete the application. True if nothing was left in flight.

    `owner`: delete only while the application belongs to this owner. Serve ends models and workers at once, hence the
    drain before. Raises StartError if the application still exists after a minute.
    """
    found = deployed()
    if found is None or (owner and found.owner and found.owner["id"] != owner["id"]):
        return True
    drained = drain()
    try:
        serve.delete(APP)
    except TimeoutError:
        raise StartError(f"the application {APP} is still being deleted; see `serve status`") from None
    return drained
