"""How much memory a worker may have: docs/reference/configuration.md's formula, with its pipeline's settings."""

from labelstream.workers.settings import Settings

# A worker's process with Ray, tokenizers and their caches, before it has read anything: 190 to 300 MiB.
BASE_MIB = 300
BROKERS, FETCH_MIB, OUTPUT_MIB = 1, 32, 16


def worker_mib(settings: Settings) -> float:
    """The bound on the resident memory of one worker of the pipeline `p`."""
    limits = settings.pipelines["p"].limits
    held = 5 * limits.max_in_flight_bytes + 3 * limits.max_batch_bytes + 30 * limits.max_message_bytes
    return BASE_MIB + held / (1 << 20) + FETCH_MIB * BROKERS + OUTPUT_MIB
