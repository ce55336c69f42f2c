"""Bare kafka-python: polls records, and sends as many of a result's size. As a process, prints its CPU seconds."""

import json
import subprocess
import sys
import time

from labelstream.deploy.bench.harness.topics import plain
from labelstream.deploy.cluster.serve_errors import cause_in
from labelstream.deploy.names import Topics
from labelstream.workers.config_file import load_settings
from labelstream.workers.settings.kafka import KafkaSettings
from labelstream.workers.stream.broker.connection import connected_config
from labelstream.workers.stream.consumer.client import make_consumer
from labelstream.workers.stream.consumer.source import RecordSource
from labelstream.workers.stream.producer.kafka_producer.client import make_producer


def bare_cpu_s(kafka: KafkaSettings, topics: Topics, group: str, count: int, result_bytes: int) -> float:
    """CPU seconds of another process that copies `count` records from `topics.input` to `topics.output`."""
    arguments = [json.dumps(plain(kafka)), *topics, group, str(count), str(result_bytes)]
    done = subprocess.run(  # noqa: S603 - this very interpreter
        [sys.executable, "-m", "labelstream.deploy.bench.baselines.bare_kafka", *arguments],
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise RuntimeError(f"bare kafka-python failed: {cause_in(done.stderr)}")
    return float(done.stdout)


def main(kafka_json: str, source: str, output: str, dead_letter: str, group: str, count: int, size: int) -> float:
    """CPU seconds since the first record."""
    settings = load_settings(
        {
            "kafka": json.loads(kafka_json),
            "models": {"m": {"source": "unused"}},
            "pipelines": {"p": {"input": source, "output": output, "dead_letter": dead_letter, "model": "m"}},
        }
    )
    pipeline, kafka = settings.pipelines["p"], settings.required_kafka
    config = connected_config(kafka)
    producer = make_producer(config, kafka, [1_048_576])
    records = RecordSource(make_consumer(config, kafka, pipeline, group), pipeline)
    value, done, acks, before = b"x" * size, 0, [], 0.0
    while done < count:
        for _, polled in records.poll(500, paused=False):
            before = before or time.process_time()
            acks += [producer.send(output, value, record.key, [], None) for record in polled]
            done += len(polled)
    for ack in acks:
        ack.get(30)
    spent = time.process_time() - before
    records.close(1_000)
    producer.close()
    return spent


if __name__ == "__main__":
    kafka_json, source, output, dead_letter, group, count, size = sys.argv[1:]
    print(main(kafka_json, source, output, dead_letter, group, int(count), int(size)))  # noqa: T201
