"""One worker without Ray, for a process of its own that dies of marked texts.

Texts with DEADLY kill the process where the stream hands them over; with SLOW an answer takes a while.
"""

import os
import signal
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future
from multiprocessing.connection import Connection
from typing import Any

from labelstream.workers.classifier import Answer, Progress, Request
from labelstream.workers.config_file import load_settings
from labelstream.workers.stream.crash_isolation import suspects
from labelstream.workers.stream.worker import PipelineWorker
from tests.support.fakes import FakeClassifier, predict

DEADLY, SLOW = "DEADLY", "SLOW"
SLOW_S = 0.2


class Mortal(FakeClassifier):
    """Dies in the stream's own thread, as in native code that tokenizes."""

    def submit(self, requests: Sequence[Request], progress: Progress | None = None) -> Future[list[Answer]]:
        if any(DEADLY in request.text for request in requests):
            os.kill(os.getpid(), signal.SIGKILL)
        return super().submit(requests, progress)


def slowly(request: Request) -> Answer:
    if SLOW in request.text:
        time.sleep(SLOW_S)
    return predict(request)


def live(tree: dict[str, Any], proof_s: float, told: Connection) -> None:
    """Until SIGTERM: exit status 0 when all in flight was finished. Tells once it has partitions."""
    suspects.PROOF_S = proof_s
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    worker = PipelineWorker("p", load_settings(tree), {"m": Mortal(slowly)}, "mortal")
    worker.start()
    while not ended.wait(0.02) and worker.stats()["state"] != "running":
        worker.check()
    told.send("running")
    while not ended.wait(0.2):
        worker.check()
    os._exit(0 if worker.stop(20) else 1)
