"""Rebalances that outlast a poll: under pressure, while draining, and after new partitions, on a real broker."""

import threading
import time
import uuid
from collections.abc import Callable

from labelstream.workers.classifier import Prediction, RecordError, Request
from tests.integration.conftest import MakeSource, StartWorker
from tests.kafka import Broker
from tests.support.fakes import FakeClassifier, predict
from tests.support.streams import Topics, committed, poll_until, produce, read_ids, spread, wait_until


def slowly(request: Request) -> Prediction | RecordError:
    """Slow enough that a second worker joins before the first has finished."""
    time.sleep(0.001)
    return predict(request)


def test_new_partitions_reach_slow_members(
    kafka: Broker, make_topic: Callable[..., str], make_source: MakeSource
) -> None:
    """kafka-python 3.0.12 forgets a leader's join for new metadata if the join outlasts its poll."""
    topic = make_topic(4)
    pair = [make_source(topic), make_source(topic)]
    poll_until(pair, lambda: spread(pair) == [2, 2])
    kafka.add_partitions(topic, 6)
    for leading in pair:  # the other member does not poll: the leader's join must wait
        until = time.monotonic() + 1.5
        while time.monotonic() < until:
            leading.poll(20, False)
    poll_until(pair, lambda: spread(pair) == [3, 3])


def test_busy_members_admit_new_member(make_topic: Callable[..., str], make_source: MakeSource) -> None:
    topic = make_topic(6)
    members = [make_source(topic), make_source(topic)]
    poll_until(members, lambda: spread(members) == [3, 3])
    members.append(make_source(topic))
    poll_until(members, lambda: spread(members) == [2, 2, 2], paused=True)
    rebalances = [member.assignment.rebalances for member in members]
    quiet_until = time.monotonic() + 4  # longer than a heartbeat
    poll_until(members, lambda: time.monotonic() > quiet_until, paused=True)
    assert [member.assignment.rebalances for member in members] == rebalances


def test_handed_over_records_can_be_committed_first(
    kafka: Broker, make_topic: Callable[..., str], make_source: MakeSource
) -> None:
    """In kafka-python 3.0.12, the poll that receives the revocation starts the join that gives the partitions away."""
    topic = make_topic(4)
    produce(kafka.bootstrap, topic, [(None, b"%d" % i) for i in range(400)])
    giving, getting = make_source(topic), make_source(topic)
    received: dict[int, int] = {}
    deadline = time.monotonic() + 30
    while sum(received.values()) < 400 and time.monotonic() < deadline:
        for progress, records in giving.poll(100, False):
            received[progress.partition.partition] = records[-1].offset + 1
    held = {progress.partition.partition: progress for progress in giving.assignment.assigned()}
    polling = threading.Thread(target=poll_until, args=[[getting], lambda: spread([getting]) == [2]])
    polling.start()
    while giving.assignment.revoking_s() is None and time.monotonic() < deadline:
        giving.poll(2_000, True)  # long enough for the join
    leaving = [progress for progress in held.values() if progress.revoking]
    for progress in leaving:
        progress.finish(progress.received - 1)
    assert giving.committer.commit_and_wait(5_000)
    assert spread([getting]) == [0]
    giving.assignment.release()
    poll_until([giving], lambda: not polling.is_alive())
    done = committed(kafka.bootstrap, topic, topic)
    assert {p.partition.partition: done[p.partition.partition] for p in leaving} == {
        p.partition.partition: received[p.partition.partition] for p in leaving
    }
    assert len(leaving) == 2


def test_busy_worker_hands_over_partitions_and_drains(
    kafka: Broker, make_topic: Callable[..., str], start_worker: StartWorker
) -> None:
    """The model stalls, another worker joins, and the first one stops: its records in flight are committed once."""
    topics = Topics(make_topic(4), make_topic(4), make_topic())
    count = 4_000
    produce(kafka.bootstrap, topics.input, [(None, b'{"text":"ab","id":%d}' % i) for i in range(count)])
    stuck = FakeClassifier()
    stuck.gate.clear()
    first = start_worker(topics, stuck, "w0", max_poll_records=50, max_in_flight=2)
    wait_until(lambda: first.stats()["in_flight"] > 0)
    second = start_worker(topics, FakeClassifier(), "w1", max_poll_records=50)
    wait_until(lambda: second.stats()["state"] == "running", 30, "the second worker's start")
    threading.Timer(1.0, stuck.gate.set).start()
    assert first.stop(20)
    ids = read_ids(kafka.bootstrap, topics.output, count)
    assert set(ids) == set(range(count))
    assert len(ids) <= count + 100  # at most the records in flight when the partitions moved
    group = "labelstream-p"
    wait_until(lambda: sum(committed(kafka.bootstrap, group, topics.input).values()) == count, 20, "the commit")


def test_two_simultaneous_stops_drain(kafka: Broker, make_topic: Callable[..., str], start_worker: StartWorker) -> None:
    """Each leave is a rebalance for the other worker, in the middle of its drain."""
    topics = Topics(make_topic(4), make_topic(4), make_topic())
    for partition in range(4):  # all have records: each worker has enough to do
        records = [(None, b'{"text":"ab","id":%d}' % i) for i in range(partition, 20_000, 4)]
        produce(kafka.bootstrap, topics.input, records, partition=partition)
    group = f"pair-{uuid.uuid4().hex[:8]}"
    workers = [
        start_worker(topics, FakeClassifier(slowly), f"w{i}", group_id=group, max_poll_records=50) for i in range(2)
    ]
    wait_until(lambda: all(worker.stats()["results_out"] > 200 for worker in workers), 60, "the start of both")
    drained: list[bool] = []
    threads = [threading.Thread(target=lambda w=worker: drained.append(w.stop(20))) for worker in workers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert drained == [True, True]
    done = sum(worker.stats()["results_out"] for worker in workers)
    assert sum(max(0, o) for o in committed(kafka.bootstrap, group, topics.input).values()) == done
