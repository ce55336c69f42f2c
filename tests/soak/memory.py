"""Memory of processes over the number of messages done."""

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

EVERY_S = 1.0


class Sample(NamedTuple):
    """`done`: messages done at that time."""

    done: int
    rss_mib: float


class Memory:
    """Samples the resident memory of processes in a thread, between `start` and `close`.

    `processes`: name -> current process id; a replaced process keeps its name.
    """

    def __init__(self, processes: Callable[[], dict[str, int]], done: Callable[[], int]) -> None:
        self._processes, self._done = processes, done
        self.samples: dict[str, list[Sample]] = {}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="memory", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        self._ended.set()
        self._thread.join(10)

    def highest_mib(self, name: str) -> float:
        """The maximum in MiB; 0 without samples."""
        return max((sample.rss_mib for sample in self.samples.get(name, ())), default=0.0)

    def _run(self) -> None:
        while not self._ended.wait(EVERY_S):
            for name, pid in self._processes().items():
                if (rss := rss_mib(pid)) is not None:
                    self.samples.setdefault(name, []).append(Sample(self._done(), rss))


def rss_mib(pid: int) -> float | None:
    """Resident memory of a process in MiB; None if the process has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS:")), None)


def slope(samples: Sequence[Sample], from_share: float = 0.25) -> float:
    """Slope of least squares in MiB per million messages, without the first `from_share` of the messages."""
    most = max((sample.done for sample in samples), default=0)
    kept = [sample for sample in samples if sample.done >= most * from_share]
    if len(kept) < 2:
        raise ValueError("too few samples for a slope")
    mean_done = sum(sample.done for sample in kept) / len(kept)
    mean_rss = sum(sample.rss_mib for sample in kept) / len(kept)
    spread = sum((sample.done - mean_done) ** 2 for sample in kept)
    if not spread:
        raise ValueError("nothing was done between the samples")
    return 1e6 * sum((sample.done - mean_done) * (sample.rss_mib - mean_rss) for sample in kept) / spread
