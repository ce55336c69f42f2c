"""Sets up a replica's log lines and spans, and switches off core dumps."""

from ray import serve

from labelstream.deploy.observability import logs, tracing
from labelstream.workers.core_dumps import forbid_core_dumps
from labelstream.workers.settings.telemetry import Telemetry


def set_up(telemetry: Telemetry) -> None:
    """Call first in a Serve replica's process. Raises ConfigError."""
    forbid_core_dumps()
    context = serve.get_replica_context()
    place = {"deployment": context.deployment, "replica": context.replica_id.unique_id}
    logs.set_up(telemetry.logs, **place)
    tracing.set_up(telemetry.tracing, **place)
