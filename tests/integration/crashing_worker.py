"""One worker without Ray, in a process that marked texts kill.

Texts with DEADLY kill the process when the stream submits them. Texts with SLOW delay the answer.
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
    """Kills the process in the stream's thread, as a crash in the tokenizer's native code would."""

    def submit(self, requests: Sequence[Request], progress: Progress | None = None) -> Future[list[Answer]]:
        if any(DEADLY in request.text for request in requests):
            os.kill(os.getpid(), signal.SIGKILL)
        return super().submit(requests, progress)


def slowly(request: Request) -> Answer:
    if SLOW in request.text:
        time.sleep(SLOW_S)
    return predict(request)


def live(tree: dict[str, Any], proof_s: float, told: Connection) -> None:
    """Run until SIGTERM; exit with 0 if all records in flight were finished. Sends "running" after the assignment."""
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
