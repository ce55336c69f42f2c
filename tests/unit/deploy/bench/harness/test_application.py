"""CPU seconds of the application's processes."""

import os
import time

from labelstream.deploy.bench.harness.application import cpu_s
from labelstream.deploy.bench.measures.timing import timed


def test_cpu_counts_all_threads_of_any_process() -> None:
    before = cpu_s(os.getpid())
    took = timed(lambda: sum(range(300_000)))
    assert took.cpu_s > 0
    assert cpu_s(os.getpid()) - before >= took.cpu_s
    assert cpu_s(os.getppid()) >= 0
    assert abs(cpu_s(os.getpid()) - time.process_time()) < 1
