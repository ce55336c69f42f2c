"""One worker without Ray, to be killed: `python -m tests.chaos.single_worker FOLDER CONFIG-AS-JSON [sabotage]`."""

import json
import sys
import time
from pathlib import Path
from typing import Any

from labelstream.workers import failpoints
from labelstream.workers.config_file import load_settings
from labelstream.workers.stream.delivery.at_least_once import AtLeastOnce
from labelstream.workers.stream.micro_batch import MicroBatch
from labelstream.workers.stream.producer.sink import ProducedBatch
from labelstream.workers.stream.worker import PipelineWorker
from tests.chaos.inject import Injector
from tests.support.fakes import FakeClassifier


def settings_of(bootstrap: str, topics: list[str], mode: str) -> dict[str, Any]:
    """Settings of one pipeline `p` with short timeouts."""
    return {
        "kafka": {"bootstrap_servers": bootstrap, "session_timeout_ms": 6_000},
        "models": {"m": {"source": "unused"}},
        "pipelines": {
            "p": {
                "input": topics[0],
                "output": topics[1],
                "dead_letter": topics[2],
                "model": "m",
                "group_id": topics[0],
                "delivery": mode,
                "max_poll_records": 100,
                "commit_interval_ms": 100,
                "transaction_interval_ms": 100,
            }
        },
    }


def commit_before_acknowledging(delivery: AtLeastOnce, batch: MicroBatch) -> ProducedBatch | None:
    """Sabotage: commit the offsets of `batch` before its records are sent."""
    for progress, offset in batch.last_offsets:
        progress.finish(offset)
    delivery._source.committer.commit_and_wait(5_000)
    return delivery._sink.produce(batch)


def main(folder: Path, tree: dict[str, Any], sabotage: bool) -> None:
    if sabotage:
        AtLeastOnce.produce = commit_before_acknowledging  # type: ignore[method-assign]
        AtLeastOnce.acknowledged = lambda delivery, produced: None  # type: ignore[method-assign]
    failpoints.install(Injector(folder))
    worker = PipelineWorker("p", load_settings(tree), {"m": FakeClassifier()}, "lone")
    worker.start()
    while True:
        worker.check()
        time.sleep(0.5)


if __name__ == "__main__":
    main(Path(sys.argv[1]), json.loads(sys.argv[2]), "sabotage" in sys.argv[3:])
