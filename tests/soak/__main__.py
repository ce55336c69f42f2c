"""`python -m tests.soak`: messages with a model that takes no time. Exits with 1 after a loss or memory growth."""

import argparse
import json
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition

from labelstream.deploy.bench.baselines.null_model import NullReplica
from labelstream.deploy.bench.harness.application import processes, running, worker_stats_now
from labelstream.deploy.bench.harness.topics import settings_for, topics_of
from labelstream.deploy.cluster.runtime import ray_for
from labelstream.deploy.names import Topics
from labelstream.workers.settings.kafka import KafkaSettings
from tests.benchmarks.throughput.material import make_texts
from tests.kafka import KafkaBroker
from tests.soak.memory import Memory, slope
from tests.soak.tally import Tally
from tests.support import models

PARTITIONS = 4
AHEAD = 100_000  # most unanswered messages, so that the backlog fits on the disk
QUIET_S = 60.0  # without a result for this time, the pipeline counts as stopped
SETTLE_S = 3.0  # after the last result, for duplicates to appear
# Fewer messages are not judged, because the first minute's allocations would be most of the slope.
JUDGED_FROM, MAX_SLOPE_MIB = 500_000, 40.0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--messages", type=int, default=1_000_000)
    parser.add_argument("--mode", choices=["exactly_once", "at_least_once"], default="exactly_once")
    parser.add_argument("--json", type=Path, help="write the figures here as well")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="labelstream-soak-") as folder, KafkaBroker() as broker:
        report = soak(broker, models.build(Path(folder) / "model"), options.messages, options.mode)
    for name, value in report.items():
        print(f"{name}: {value}", flush=True)
    if options.json:
        options.json.write_text(json.dumps(report, indent=2) + "\n")
    return 0 if report["passed"] else 1


def soak(broker: KafkaBroker, model: Path, messages: int, mode: str) -> dict[str, Any]:
    """The figures and the verdict as plain data."""
    topics = topics_of("soak")
    for topic in (topics.input, topics.output, topics.dead_letter):
        broker.create_topic(topic, PARTITIONS)
    settings = settings_for(
        KafkaSettings(bootstrap_servers=broker.bootstrap),
        {"source": str(model), "dtype": "float32"},
        {"p": topics},
        {"p": mode},
    )
    tally, ended = Tally(), threading.Event()
    with ray_for(settings), running(settings, NullReplica):
        pids = processes()._asdict()
        memory = Memory(lambda: pids, lambda: tally.answers)
        load = threading.Thread(target=produce, args=(broker.bootstrap, topics, messages, tally, ended), daemon=True)
        started = time.monotonic()
        memory.start()
        load.start()
        try:
            read(broker.bootstrap, topics, messages, tally)
        finally:
            ended.set()
            memory.close()
        load.join(60)
        stats = worker_stats_now()
    ends = ends_of(broker.bootstrap, topics.input)
    totals = tally.totals(ends)
    slopes = {name: round(slope(samples), 1) for name, samples in memory.samples.items()}
    flat = messages < JUDGED_FROM or all(found <= MAX_SLOPE_MIB for found in slopes.values())
    whole = sum(ends.values()) == messages and not any(totals) and not stats["restarts"]
    return {
        "mode": mode,
        "messages": sum(ends.values()),
        **totals._asdict(),
        "restarts": stats["restarts"],
        "messages_per_s": round(tally.answers / (tally.last_at - started)),
        "highest_mib": {name: round(memory.highest_mib(name)) for name in slopes},
        "slope_mib_per_million": slopes,
        "passed": whole and flat,
    }


def produce(bootstrap: str, topics: Topics, count: int, tally: Tally, ended: threading.Event) -> None:
    """Produce all messages, at most AHEAD before their answers."""
    values = [json.dumps({"text": text, "id": number}).encode() for number, text in enumerate(make_texts(20_000))]
    producer = Producer(
        {
            "bootstrap.servers": bootstrap,
            "linger.ms": 20,
            "enable.idempotence": True,
            "queue.buffering.max.messages": 200_000,
            "log_level": 0,
        }
    )
    for number in range(count):
        while number - tally.answers > AHEAD and not ended.is_set():
            producer.poll(0.05)
        if ended.is_set():
            return
        producer.produce(topics.input, values[number % len(values)], b"%d" % (number % 997))
        if number % 1_000 == 0:
            producer.poll(0)
    producer.flush(60)


def read(bootstrap: str, topics: Topics, count: int, tally: Tally) -> None:
    """Read until all messages are answered and SETTLE_S has passed, or for QUIET_S without a record."""
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": "soak-reader",
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
            "auto.offset.reset": "error",
            "log_level": 0,
        }
    )
    consumer.assign(
        [
            TopicPartition(topic, number, 0)
            for topic in (topics.output, topics.dead_letter)
            for number in range(PARTITIONS)
        ]
    )
    try:
        since = time.monotonic()
        while time.monotonic() - since < (SETTLE_S if tally.different >= count else QUIET_S):
            for message in consumer.consume(5_000, timeout=0.5):
                if message.error():
                    raise KafkaException(message.error())
                if message.topic() == topics.dead_letter:
                    raise RuntimeError("a good message became a dead letter")
                tally.add(message.value() or b"")
                since = tally.last_at = time.monotonic()
    finally:
        consumer.close()


def ends_of(bootstrap: str, topic: str) -> dict[int, int]:
    """The end offset of each partition."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "soak-ends", "log_level": 0})
    try:
        return {
            number: consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=10)[1]
            for number in range(PARTITIONS)
        }
    finally:
        consumer.close()


if __name__ == "__main__":
    sys.exit(main())
