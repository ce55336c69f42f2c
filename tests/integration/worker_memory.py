"""A worker in a process that reports its peak memory.

`python -m tests.integration.worker_memory SETTINGS` runs the pipeline `p`; SETTINGS is JSON. The model answers after a
line on stdin. Prints a `Standing` as JSON before the first poll, then four times a second, until killed.
"""

import json
import sys
import threading
import time
from pathlib import Path
from typing import Any, NamedTuple

from labelstream.workers.config_file import load_settings
from labelstream.workers.stream.worker import PipelineWorker
from tests.support.fakes import FakeClassifier

KIB = 1024


class Standing(NamedTuple):
    """`peak`: maximum memory in bytes; `turn_s`: longest time that the loop was blocked, in seconds."""

    peak: int
    messages_in: int
    in_flight: int
    done: int
    turn_s: float


def main() -> None:
    classifier = FakeClassifier()
    classifier.gate.clear()
    worker = PipelineWorker("p", load_settings(json.loads(sys.argv[1])), {"m": classifier}, "w")
    worker.start()
    threading.Thread(target=_release, args=[classifier], daemon=True).start()
    turn_s = 0.0
    while True:
        worker.check()
        stats = worker.stats()
        turn_s = max(turn_s, worker._health.loop_idle_s())
        done = stats["results_out"] + sum(stats["dead_letters"].values()) + stats["skipped"]
        print(json.dumps(Standing(_peak(), stats["messages_in"], stats["in_flight"], done, turn_s)), flush=True)
        time.sleep(0.25)


def _release(classifier: Any) -> None:
    sys.stdin.readline()
    classifier.gate.set()


def _peak() -> int:
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * KIB


if __name__ == "__main__":
    main()
