"""Scale to zero: an idle model holds no GPU, and starts again for a new message."""

import time
from unittest.mock import patch

import pytest
from ray import serve

import labelstream.deploy.app
from labelstream.deploy.cluster.application import control_client
from labelstream.deploy.names import APP
from tests.cluster.system import HastyBoard, Stream, Topics, cluster_of, running, settings_for
from tests.kafka import Broker
from tests.support.streams import wait_until

pytestmark = pytest.mark.timeout(600)


def test_idle_model_scales_to_zero_and_back(kafka: Broker) -> None:
    topics = Topics.made(kafka, "zero")
    settings = settings_for(kafka.bootstrap, topics, {"min": 0, "max": 2}, 1)
    board = patch.object(labelstream.deploy.app, "ControlPlane", HastyBoard)
    with board, cluster_of([1, 1]) as cluster, running(cluster, settings):
        stream = Stream(kafka.bootstrap, topics, 20)
        wait_until(lambda: len(stream.results) > 100, 120, "the first results")
        stream.per_s = 0
        wait_until(lambda: replicas() == 0, 120, "the end of the last replica")
        time.sleep(15)
        assert replicas() == 0, "the model started without a message"
        assert control_client.status()["pipelines"]["p"], "the worker ended with the model"

        asleep, began = len(stream.results), time.monotonic()
        stream.per_s = 20
        wait_until(lambda: len(stream.results) > asleep, 120, "a result")
        woken_s = time.monotonic() - began
        wait_until(lambda: len(stream.results) > asleep + 200, 60, "the stream")
        stream.close(60)
    print(f"\nawake after {woken_s:.1f} s; {stream.sent} messages, {sum(stream.results.values()) - stream.sent} twice")
    assert len(stream.results) == stream.sent


def replicas() -> int:
    """Number of running replicas of the model."""
    deployments = serve.status().applications[APP].deployments
    return sum(deployments["model-m"].replica_states.values())
