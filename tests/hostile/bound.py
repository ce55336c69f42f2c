"""How much memory a worker may have, by the settings of its pipelines."""

from workers.settings import Settings

# A worker's process with its libraries, tokenizers and their caches, before it has read anything: 250 to 300 MiB.
AT_REST_MIB = 400
# A batch is there as it came and decompressed, and once more as records.
COPIES_OF_A_BATCH = 3
# Of what is in flight, decoded, with its answers: as many bytes as the worker may hold. Set by hand as long as there
# is no setting for it.
IN_FLIGHT_MIB = 256


def worker_mib(settings: Settings) -> float:
    """The bound on the resident memory of one worker of the pipeline `p`."""
    limits = settings.pipelines["p"].limits
    in_flight = getattr(limits, "max_in_flight_bytes", IN_FLIGHT_MIB << 20)
    return AT_REST_MIB + (COPIES_OF_A_BATCH * limits.max_batch_bytes + in_flight) / (1 << 20)
