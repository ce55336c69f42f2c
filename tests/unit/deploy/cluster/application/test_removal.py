"""An application that is not there, or is of another owner."""

from collections.abc import Callable
from pathlib import Path

from labelstream.deploy.cluster.application import removal
from labelstream.deploy.control.deployed import new_owner


def test_there_is_nothing_to_remove_from_an_empty_cluster(on_cluster: Callable[..., None]) -> None:
    on_cluster(None)
    assert removal.drain()
    assert removal.undeploy()


def test_application_of_another_owner_is_not_removed(on_cluster: Callable[..., None]) -> None:
    ours, theirs = (new_owner("run", Path(file), False) for file in ("a.yaml", "b.yaml"))
    on_cluster({"owner": theirs, "config": {}, "drain_timeout_s": 7.0}, "board", "pipeline-p")
    assert removal.undeploy(ours)  # with nothing to call, a removal would fail
