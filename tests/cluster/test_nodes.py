"""Nodes, models and configs change in mid-stream without loss."""

import re
import time

import pytest
from ray._private import state

from tests.cluster.system import Stream, Topics, add_node, cluster_of, places, run, running, settings_for
from tests.kafka import Broker
from tests.support.streams import wait_until

pytestmark = pytest.mark.timeout(600)


def test_node_death_and_upgrades_in_mid_stream_lose_nothing(kafka: Broker) -> None:
    topics = Topics.made(kafka, "nodes")
    settings = settings_for(kafka.bootstrap, topics, 3, 2)
    with cluster_of([1, 1, 1]) as cluster, running(cluster, settings):
        found = places()
        assert len({node for node, _ in found}) == 3  # one per GPU
        stream = Stream(kafka.bootstrap, topics, 200)
        wait_until(lambda: len(stream.results) > 200, 60, "the first results")

        died = pause_of(stream, lambda: remove(cluster, found[0][0]))
        add_node(cluster, 1)
        wait_until(lambda: len({node for node, _ in places()}) == 3, 120, "a replica on the new node")

        before = {pid for _, pid in places()}
        changed = settings_for(kafka.bootstrap, topics, 3, 2, top_k=1)
        upgraded = pause_of(stream, lambda: run(changed))
        wait_until(lambda: not before & {pid for _, pid in places()}, 120, "new replicas")

        scaled = settings_for(kafka.bootstrap, topics, 2, 3, top_k=1)
        rescaled = pause_of(stream, lambda: run(scaled))
        stream.close(120)
    print(
        f"\nlongest pauses: a node dies {died:.1f} s, the model changes {upgraded:.1f} s, other counts "
        f"{rescaled:.1f} s; {stream.sent} messages, {sum(stream.results.values()) - stream.sent} results twice"
    )
    assert len(stream.results) == stream.sent


def test_only_labelled_nodes_run_workers_and_control_plane(kafka: Broker) -> None:
    topics, labels = Topics.made(kafka, "labels"), {"labelstream/kafka": "allowed"}
    plain = settings_for(kafka.bootstrap, topics, 1, 2)
    settings = plain.model_copy(update={"kafka": plain.required_kafka.model_copy(update={"node_labels": labels})})
    with cluster_of([1]) as cluster:  # the head has CPUs, but no label
        allowed = cluster.add_node(num_cpus=2, labels=labels).node_id
        with running(cluster, settings):
            stream = Stream(kafka.bootstrap, topics, 200)
            wait_until(lambda: len(stream.results) > 200, 60, "the first results")
            stream.close(60)
            nodes = nodes_of_replicas()
    assert len(stream.results) == stream.sent
    assert nodes["pipeline-p"] == nodes["board"] == {allowed}
    assert allowed not in nodes["model-m"]


def nodes_of_replicas() -> dict[str, set[str]]:
    """Nodes of each deployment's running replicas."""
    found: dict[str, set[str]] = {}
    for actor in state.actors().values():
        if actor["State"] == "ALIVE" and (name := re.match(r"SERVE_REPLICA::labelstream#([^#]+)#", actor["Name"])):
            found.setdefault(name[1], set()).add(actor["Address"]["NodeID"])
    return found


def remove(cluster: object, node_id: str) -> None:
    node = next(node for node in cluster.worker_nodes if node.node_id == node_id)  # type: ignore[attr-defined]
    cluster.remove_node(node, allow_graceful=False)  # type: ignore[attr-defined]


def pause_of(stream: Stream, change: object) -> float:
    """The longest time without a result after the change, until results arrive for half a minute."""
    start = len(stream.gaps)
    change()  # type: ignore[operator]
    wait_until(lambda: len(stream.gaps) > start + 500, 120, "results after the change")
    time.sleep(10)
    return max(stream.gaps[start:])
