"""kafka-python by itself: poll records, send as many of a result's size. Run as a process, prints its CPU seconds."""

import sys
import time
import uuid

from workers.settings import load_settings
from workers.stream.clients import connected_config, make_consumer, make_producer
from workers.stream.source import RecordSource


def main(bootstrap: str, source: str, output: str, count: int, result_bytes: int) -> None:
    settings = load_settings({
        "kafka": {"bootstrap_servers": bootstrap}, "models": {"m": {"source": "unused"}},
        "pipelines": {"p": {"input": source, "output": output, "dead_letter": "unused", "model": "m"}}})
    pipeline, kafka = settings.pipelines["p"], settings.kafka
    config = connected_config(kafka)
    producer = make_producer(config, kafka, [1_048_576])
    records = RecordSource(make_consumer(config, kafka, pipeline, f"bare-{uuid.uuid4().hex}"), pipeline)
    value, done, acks, before = b"x" * result_bytes, 0, [], 0.0
    while done < count:
        for _, polled in records.poll(500, paused=False):
            before = before or time.process_time()
            acks += [producer.send(output, value, record.key, [], None) for record in polled]
            done += len(polled)
    for ack in acks:
        ack.get(30)
    print(time.process_time() - before)
    records.close(1_000)
    producer.close()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5]))
