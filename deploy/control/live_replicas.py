"""Lists the live replicas that Serve knows; `summary.py` counts by this list.

The autoscaler counts fresh reports instead (`scaling/estimator.py`). A replica
that died leaves the list at once, but its last report stays a minute.
"""

from typing import Any

import ray
from ray.serve import context

from labelstream.deploy.names import APP

TIMEOUT_S = 5.0


def live_replicas() -> dict[str, list[str]]:
    """Ids of the replicas by deployment, with those that start or stop. Raises RayError, or KeyError without APP."""
    client: Any = context._get_global_client()
    details: Any = ray.get(client._controller.get_serve_instance_details.remote(), timeout=TIMEOUT_S)
    return {
        name: [replica["replica_id"] for replica in deployment["replicas"]]
        for name, deployment in details["applications"][APP]["deployments"].items()
    }
