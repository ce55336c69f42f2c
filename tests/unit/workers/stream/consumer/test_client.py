"""A consumer that commits nothing by itself, and joins only with what the pipeline's settings say."""

import pytest

from labelstream.workers.settings.kafka import KafkaSettings
from labelstream.workers.settings.pipeline import PipelineSettings
from labelstream.workers.stream.consumer.assignor import Assignor
from labelstream.workers.stream.consumer.client import make_consumer
from tests.support.fakes import UNREACHABLE


@pytest.mark.parametrize(("session_timeout_ms", "heartbeat_ms"), [(45_000, 3_000), (6_000, 2_000)])
def test_consumer_takes_its_limits_from_the_settings(session_timeout_ms: int, heartbeat_ms: int) -> None:
    kafka = KafkaSettings(
        bootstrap_servers="127.0.0.1:1", session_timeout_ms=session_timeout_ms, max_poll_interval_ms=400_000
    )
    pipeline = PipelineSettings.model_validate(
        {"input": "in", "output": "out", "dead_letter": "dead", "model": "m", "max_poll_records": 77}
    )
    consumer = make_consumer(dict(UNREACHABLE), kafka, pipeline, "g")
    config = consumer.config
    consumer.close(autocommit=False, timeout_ms=0)
    assert (config["group_id"], config["max_poll_records"], config["max_poll_interval_ms"]) == ("g", 77, 400_000)
    assert (config["session_timeout_ms"], config["heartbeat_interval_ms"]) == (session_timeout_ms, heartbeat_ms)


def test_consumer_neither_commits_nor_resets_by_itself() -> None:
    """And reads no record of a transaction that was aborted."""
    pipeline = PipelineSettings.model_validate({"input": "in", "output": "out", "dead_letter": "dead", "model": "m"})
    consumer = make_consumer(dict(UNREACHABLE), KafkaSettings(bootstrap_servers="127.0.0.1:1"), pipeline, "g")
    config = consumer.config
    consumer.close(autocommit=False, timeout_ms=0)
    assert config["enable_auto_commit"] is False
    assert config["auto_offset_reset"] == "none"
    assert config["isolation_level"] == "read_committed"
    assert config["partition_assignment_strategy"] == [Assignor]
    assert consumer.subscription() is None
