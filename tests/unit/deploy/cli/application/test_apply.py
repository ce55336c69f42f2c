"""`labelstream apply` and `labelstream remove`: their output, the owner of the application, and refusals."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from labelstream.deploy.cli.application import apply as apply_module
from labelstream.deploy.cli.application import preflight
from labelstream.deploy.cli.application.run import look_before, with_page
from labelstream.deploy.cli.common.connect import load_config
from labelstream.deploy.cluster import runtime
from labelstream.deploy.cluster.application import control_client, removal, rollout
from labelstream.deploy.cluster.run_note import RunNote
from labelstream.deploy.control.deployed import Deployed, new_owner
from labelstream.workers.config_file import without_secrets
from labelstream.workers.errors import StartError
from labelstream.workers.stream.broker.finding import Finding
from tests.unit.deploy.cli.conftest import Run, fails


class Cluster:
    """A fake Ray that has the application `found`."""

    def __init__(self) -> None:
        self.found: Deployed | None = None
        self.owner: Any = None
        self.settings: Any = None
        self.done: list[str] = []
        self.error: Exception | None = None

    @contextmanager
    def joined(self, address: str) -> Iterator[None]:
        self.done.append(f"joined {address}")
        yield
        self.done.append("left")

    def start_serve(self, settings: Any, everywhere: bool) -> None:
        self.settings = settings
        self.done.append("Serve")

    def drain(self, without: Any, gateway: bool) -> bool:
        assert gateway == (self.settings.http is None)
        self.done.append(f"drained but {', '.join(without)}")
        return True

    def deploy(self, settings: Any, timeout_s: float, on_progress: Any, owner: Any) -> None:
        assert settings is self.settings
        self.owner = owner
        self.done.append(f"deployed within {timeout_s:g} s")
        if self.error is not None:
            raise self.error

    def undeploy(self) -> bool:
        self.done.append("undeployed")
        return True


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Cluster:
    cluster = Cluster()
    parts = ((runtime, ("joined", "start_serve")), (removal, ("drain", "undeploy")), (rollout, ("deploy",)))
    for module, name in ((module, name) for module, names in parts for name in names):
        monkeypatch.setattr(module, name, getattr(cluster, name))
    monkeypatch.setattr(control_client, "deployed", lambda: cluster.found)
    monkeypatch.setattr(apply_module, "warn_before", lambda settings: None)
    monkeypatch.setattr(apply_module, "look_before", lambda settings, port, refusal, runs: None)
    return cluster


@pytest.fixture
def config(write_config: Callable[..., str]) -> str:
    return write_config()


def owned(command: Any, config: str, local: bool = False) -> Deployed:
    return Deployed(new_owner(command, Path(config), local), {"pipelines": {"old": {}}}, 30.0)


def test_apply_deploys_on_empty_cluster(run: Run, cluster: Cluster, config: str) -> None:
    found = run("apply", "-c", config, "--address", "h:1", "--wait", "9")
    assert found.code == 0
    assert cluster.done == ["joined h:1", "Serve", "deployed within 9 s", "left"]
    assert (cluster.owner["command"], cluster.owner["local"]) == ("apply", False)
    assert "the cluster has no application yet" in found.err
    assert "everything runs" in found.err


def test_apply_lists_changes_and_drains_removed_pipelines(run: Run, cluster: Cluster, config: str) -> None:
    cluster.found = owned("apply", config)
    found = run("apply", "-c", config, "--address", "h:1")
    assert "pipeline old: removed" in found.err
    assert cluster.done[2].startswith("drained but ")


def test_run_of_same_file_stays_owner(run: Run, cluster: Cluster, config: str) -> None:
    cluster.found = owned("run", config)
    assert run("apply", "-c", config, "--address", "h:1").code == 0
    assert cluster.found.owner is not None
    assert (cluster.owner["id"], cluster.owner["command"]) == (cluster.found.owner["id"], "run")
    assert "changed_at" in cluster.owner


def test_apply_without_changes_keeps_owner_unchanged(run: Run, cluster: Cluster, config: str) -> None:
    cluster.found = owned("run", config)._replace(config=without_secrets(load_config(Path(config))))
    found = run("apply", "-c", config, "--address", "h:1")
    assert "the config has not changed" in found.err
    assert cluster.owner == cluster.found.owner
    assert "deployed within 1800 s" in cluster.done, "a secret may have changed, or a replica may not run"


@pytest.mark.parametrize("http", ["kafka:", "http: {port: 8123, page: false}\nkafka:"], ids=["without http", "off"])
def test_page_of_the_run_stays(run: Run, cluster: Cluster, write_config: Callable[..., str], http: str) -> None:
    config = write_config("kafka:", http)
    before = without_secrets(with_page(load_config(Path(config))))
    cluster.found = Deployed(new_owner("run", Path(config), local=False, page=True), before, 30.0)
    found = run("apply", "-c", config, "--address", "h:1")
    assert cluster.settings.http.page
    assert "http.page stays on, because of `labelstream run --page`" in found.err
    assert "the config has not changed" in found.err
    assert cluster.owner["page"]


@pytest.mark.parametrize(("file", "page"), [("other.yaml", True), (None, False)], ids=["other file", "no --page"])
def test_page_of_no_such_run_is_not_kept(run: Run, cluster: Cluster, config: str, file: str | None, page: bool) -> None:
    cluster.found = Deployed(new_owner("run", Path(file or config), local=False, page=page), {"http": {}}, 30.0)
    found = run("apply", "-c", config, "--address", "h:1")
    assert (cluster.settings.http, "stays on" in found.err) == (None, False)


def test_run_of_another_file_is_replaced(run: Run, cluster: Cluster, config: str) -> None:
    cluster.found = owned("run", "other.yaml")
    found = run("apply", "-c", config, "--address", "h:1")
    assert cluster.owner["command"] == "apply"
    assert "replacing the application of `labelstream run` of " in found.err


def test_local_run_of_another_file_is_refused(run: Run, cluster: Cluster, config: str) -> None:
    cluster.found = owned("run", "other.yaml", local=True)
    found = run("apply", "-c", config, "--address", "h:1")
    assert (found.code, "ends with that command" in found.err) == (1, True)
    assert cluster.owner is None


def test_failed_change_is_reported_with_its_cause(run: Run, cluster: Cluster, config: str) -> None:
    cluster.error = StartError("no such model")
    found = run("apply", "-c", config, "--address", "h:1")
    assert (found.code, found.err.splitlines()[-1]) == (1, "labelstream: no such model")
    assert "are down; apply a config that starts" in found.err


@pytest.fixture
def local_run(config: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A run of the file on this machine; `note` is what `apply` writes."""
    note = RunNote(address="h:2", config=config, brokers="", pipelines={}, user="ada", pid=7, started_at=5.0)
    run = SimpleNamespace(folder=tmp_path, note=note, token="t")
    monkeypatch.setattr(apply_module, "address_of", lambda address, config=None: "h:2")
    monkeypatch.setattr(apply_module, "noted_runs", lambda: [run])
    monkeypatch.setattr(apply_module, "write_note", lambda folder, note: setattr(run, "note", note))
    return run


def test_apply_changes_local_run_and_its_note(run: Run, cluster: Cluster, config: str, local_run: Any) -> None:
    cluster.found = owned("run", config, local=True)
    assert run("apply", "-c", config).code == 0
    assert cluster.owner["local"]
    note = local_run.note
    assert (list(note.pipelines), note.pid, note.started_at, note.address) == (["feedback"], 7, 5.0, "h:2")


def test_starting_local_run_is_not_changed(run: Run, cluster: Cluster, config: str, local_run: Any) -> None:
    found = run("apply", "-c", config)
    assert (found.code, "process 7, which runs" in found.err) == (1, True)
    assert cluster.owner is None


def test_apply_with_problems_on_this_machine_changes_nothing(
    run: Run, cluster: Cluster, config: str, local_run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster.found = owned("run", config, local=True)
    monkeypatch.setattr(apply_module, "look_before", look_before)
    monkeypatch.setattr(preflight, "start_findings", lambda settings, port, runs: [Finding("models.m.source", "gone")])
    found = run("apply", "-c", config)
    assert (found.code, "nothing is changed: 1 problem, see above" in found.err) == (1, True)
    assert cluster.done == []


def test_remove_ends_the_application(run: Run, cluster: Cluster, config: str) -> None:
    cluster.found = owned("apply", config)
    found = run("remove", "--address", "h:1", "--yes")
    assert found.code == 0
    assert cluster.done == ["joined h:1", "undeployed", "left"]
    assert found.err.splitlines()[-1] == "removed"


def test_remove_without_a_terminal_needs_yes(run: Run, cluster: Cluster) -> None:
    fails(run("remove", "--address", "h:1"), 2, "there is no terminal to ask on")
    assert cluster.done == []


def test_remove_from_empty_cluster_exits_with_1(run: Run, cluster: Cluster) -> None:
    fails(run("remove", "--address", "h:1", "--yes"), 1, "the cluster at h:1 has no application")


def test_remove_refuses_local_run(run: Run, cluster: Cluster) -> None:
    cluster.found = owned("run", "a.yaml", local=True)
    fails(run("remove", "--address", "h:1", "--yes"), 1, "stop the command with Ctrl-C or SIGTERM")
