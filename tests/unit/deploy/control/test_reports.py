"""Reports of replicas of another version, in a rolling update."""

from typing import Any

import pytest

from labelstream.deploy.control.reports import PlacedModelReport, PlacedPipelineReport
from labelstream.deploy.control.summary import StatusView
from labelstream.deploy.observability.metrics import samples
from tests.support.reports import model_report, pipeline_report

# What every version reports. Nothing is added here: a new key is NotRequired.
WORKER_KEYS = """
    abstained alarms alarms_raised by_partition cpu_s dead_letters histograms in_flight in_flight_by_partition labels
    lag latency_ms messages_in node offset_jumps partitions pid replica restarts results_out results_retimed retries
    retries_by_model skipped stages state tokens transactions transactions_aborted trouble unknown_fields worker
"""
MODEL_KEYS = """
    batches busy_s calls failed_batches full_tokens histograms max_batch_tokens measured_tokens_per_s memory_bytes node
    pid replica revision run_slots run_tokens sequences source tokens
"""


@pytest.mark.parametrize(("report", "keys"), [(PlacedPipelineReport, WORKER_KEYS), (PlacedModelReport, MODEL_KEYS)])
def test_no_key_is_asked_of_a_replica_of_the_version_before(report: Any, keys: str) -> None:
    assert report.__required_keys__ <= set(keys.split()), "make the new key NotRequired"


def test_report_without_newer_keys_is_understood() -> None:
    worker: Any = {key: value for key, value in pipeline_report().items() if key in WORKER_KEYS.split()}
    model: Any = {key: value for key, value in model_report().items() if key in MODEL_KEYS.split()}
    view = StatusView()
    found: Any = {"pipelines": {"p": {"w": worker}}, "models": {"m": {"r": model}}}
    assert view.pipelines(found)[0].state == "running"
    assert view.models(found)[0].replicas == 1
    assert list(samples.of_worker("p", worker))
    assert list(samples.of_model("m", model, "r"))
