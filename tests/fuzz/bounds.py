"""The bounds of one input: CPU seconds, because the machine may be shared, and the process's peak memory."""

import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager

SECONDS, SECONDS_PER_MIB = 1.0, 4.0  # linear time, several times what the slowest readers need
MIB, MIB_PER_MIB = 96, 128  # a tree of Python objects has up to a hundred times the bytes of its JSON


class TooExpensive(AssertionError):
    """One input took more than its bounds."""


def peak_mib() -> float:
    """The peak memory of this process."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


@contextmanager
def bounded(size: int) -> Iterator[None]:
    """Raises TooExpensive if the block takes more than the bounds of an input of `size` bytes."""
    before, since = peak_mib(), time.process_time()
    yield
    seconds, grown, mib = time.process_time() - since, peak_mib() - before, size / (1 << 20)
    if seconds > SECONDS + SECONDS_PER_MIB * mib:
        raise TooExpensive(f"{seconds:.2f} s of CPU for {size} bytes")
    if grown > MIB + MIB_PER_MIB * mib:
        raise TooExpensive(f"{grown:.0f} MiB of memory for {size} bytes")
