"""Which pipelines still have workers that join their groups, by Serve's counts and the workers' reports."""

from types import SimpleNamespace
from typing import Any

import pytest
from ray.serve._private.common import ReplicaState

from labelstream.deploy.control.worker_start import unjoined
from tests.support.reports import pipeline_report

TWO = {"pipeline-p": SimpleNamespace(replica_states={ReplicaState.RUNNING: 2, ReplicaState.STOPPING: 1})}
RUNNING, OLD = pipeline_report(), pipeline_report(state="running", age_s=40.0)


@pytest.mark.parametrize(
    ("reports", "expected"),
    [
        ([RUNNING, RUNNING], []),
        ([RUNNING], ["pipeline-p"]),
        ([RUNNING, OLD], ["pipeline-p"]),
        ([RUNNING, pipeline_report(state="drained")], ["pipeline-p"]),
        ([RUNNING, pipeline_report(state="starting")], ["pipeline-p"]),
        ([RUNNING, pipeline_report(state="restarting")], []),
    ],
    ids=["all run", "no report", "report before the update", "worker of before", "starting", "told by its trouble"],
)
def test_pipeline_has_joined_when_all_its_workers_report(reports: list[Any], expected: list[str]) -> None:
    assert unjoined(TWO, {"p": dict(enumerate(reports))}) == expected  # type: ignore[arg-type]
