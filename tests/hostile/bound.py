"""Memory bound of a worker: the formula of docs/reference/configuration.md with its pipeline's settings."""

from labelstream.workers.settings.application import Settings

# A worker process with Ray, tokenizers and their caches, before its first poll: 190 to 300 MiB.
BASE_MIB = 300
BROKERS, FETCH_MIB, OUTPUT_MIB = 1, 32, 16


def worker_mib(settings: Settings) -> float:
    """Bound of the resident memory of one worker of pipeline `p`, in MiB."""
    limits = settings.pipelines["p"].limits
    held = 5 * limits.max_in_flight_bytes + 3 * limits.max_batch_bytes + 30 * limits.max_message_bytes
    return BASE_MIB + held / (1 << 20) + FETCH_MIB * BROKERS + OUTPUT_MIB
