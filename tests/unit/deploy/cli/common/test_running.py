"""Which run a command means: by config, by pipeline, by address, and never somebody else's."""

import os
import pwd
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from labelstream.deploy.cli.common import running
from labelstream.deploy.cli.common.running import address_of
from labelstream.deploy.cluster import run_folder
from labelstream.workers.errors import ConfigError, StartError
from tests.support.run_notes import note_run

WriteConfig = Callable[..., str]


@pytest.fixture(autouse=True)
def place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The parent of the runs' folders."""
    monkeypatch.setattr(run_folder, "places", lambda: [tmp_path])
    monkeypatch.setattr(run_folder, "MAX_PLACE_BYTES", 1_000)
    monkeypatch.setattr(os, "environ", {**os.environ, "RAY_AUTH_TOKEN": ""})
    return tmp_path


@contextmanager
def noted_ray(**note: Any) -> Iterator[str]:
    """A listener on loopback whose address is noted as a run. The note outlives the listener."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"127.0.0.1:{listener.getsockname()[1]}"
        note_run(address, **note)
        yield address


def test_given_address_is_used_unchanged() -> None:
    assert address_of("host:6379") == "host:6379"
    assert address_of("auto") == "auto"
    assert os.environ["RAY_AUTH_TOKEN"] == ""


def test_address_of_a_run_comes_with_its_token(place: Path) -> None:
    with noted_ray() as one, noted_ray() as two:
        assert address_of(two) == two
        assert os.environ["RAY_AUTH_TOKEN"] in {path.read_text() for path in place.glob("*/token")}
        assert address_of(one) == one


def test_address_beside_a_config_is_refused(place: Path) -> None:
    with pytest.raises(ConfigError, match="--address: unexpected beside --config"):
        address_of("host:6379", place / "labelstream.yaml")


def test_only_run_is_found_with_its_token(place: Path) -> None:
    run_folder.make_run_folder()  # of one that is starting
    with noted_ray() as one:
        assert address_of(None) == one
        [noted] = place.glob("*/run.json")
        assert os.environ["RAY_AUTH_TOKEN"] == (noted.parent / "token").read_text()
        assert os.environ["RAY_AUTH_MODE"] == "token"


def test_config_finds_its_run_even_if_it_has_changed_since(write_config: WriteConfig, tmp_path: Path) -> None:
    config = Path(write_config())
    config.write_text("no: longer valid")
    with noted_ray(), noted_ray(config=str(config.resolve())) as ours:
        assert address_of(None, config) == ours
        (tmp_path / "link.yaml").symlink_to(config)
        assert address_of(None, tmp_path / "link.yaml") == ours


def test_config_that_has_moved_finds_the_same_application(write_config: WriteConfig) -> None:
    config = Path(write_config(bootstrap="kafka:9092"))
    with noted_ray(pipelines={"feedback": "another-group"}), noted_ray(brokers="other:9092"), noted_ray() as ours:
        assert address_of(None, config) == ours


def test_run_of_another_config_is_not_taken(write_config: WriteConfig, capsys: pytest.CaptureFixture[str]) -> None:
    config = Path(write_config())
    with noted_ray() as other, pytest.raises(StartError) as refused:
        address_of(None, config)
    assert str(refused.value) == (
        f"no run of {config} on this machine; start one with `labelstream run -c {config}`, or give a cluster's "
        "--address"
    )
    head, path, pipelines, process = capsys.readouterr().err.splitlines()
    assert head == "your runs on this machine:"
    assert (path, pipelines) == ("  /etc/labelstream.yaml", "    1 pipeline: feedback")
    assert process.startswith("    started by ada at 2026-")
    assert process.endswith(f", process 4711, --address {other}")


def test_missing_config_file_is_named(tmp_path: Path) -> None:
    with noted_ray(), pytest.raises(ConfigError, match="cannot be read"):
        address_of(None, tmp_path / "nowhere.yaml")


def test_broken_config_without_any_run_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("no: longer valid")
    with pytest.raises(StartError, match=r"no run of .* on this machine"):
        address_of(None, tmp_path / "c.yaml")


def test_pipeline_finds_its_run() -> None:
    with noted_ray(), noted_ray(pipelines={"logs": "g", "mail": "h"}) as ours:
        assert address_of(None, None, "mail") == ours
        with pytest.raises(ConfigError, match="has a pipeline 'mial'; give one of feedback, logs, mail"):
            address_of(None, None, "mial")


def test_starting_run_is_reported_and_not_joined(write_config: WriteConfig) -> None:
    config = Path(write_config())
    note_run("", config=str(config.resolve()), pipelines={"mail": "g"}, pid=os.getpid(), started_at=time.time())
    told = rf"is still starting \(process {os.getpid()}\); try again in a moment"
    for asked in ((config, None), (None, None), (None, "mail")):
        with pytest.raises(StartError, match=told):
            address_of(None, *asked)
    with noted_ray() as other:
        assert address_of(None) == other
        with pytest.raises(StartError, match=told):
            address_of(None, None, "mail")
        with pytest.raises(ConfigError, match="has a pipeline 'logs'"):
            address_of(None, None, "logs")


def test_pipeline_in_two_runs_is_ambiguous(write_config: WriteConfig, capsys: pytest.CaptureFixture[str]) -> None:
    config = Path(write_config())
    with noted_ray(started_at=1.0) as one, noted_ray(config=str(config.resolve()), started_at=2.0) as two:
        with pytest.raises(ConfigError, match=r"^2 runs on this machine match; choose one with -c FILE or --address"):
            address_of(None, None, "feedback")
        assert address_of(None, config, "feedback") == two
        said = capsys.readouterr().err
    assert said.index(one) < said.index(two)


def test_two_runs_are_listed_with_the_options_to_choose() -> None:
    with noted_ray(), noted_ray(), pytest.raises(ConfigError, match="with -c FILE or a pipeline's name or --address"):
        address_of(None)


def test_pipeline_unknown_to_note_is_left_to_control_plane(write_config: WriteConfig) -> None:
    config = Path(write_config())
    with noted_ray(config=str(config.resolve())) as ours:
        assert address_of(None, config, "new") == ours


def test_run_of_another_user_is_not_used(monkeypatch: pytest.MonkeyPatch, place: Path) -> None:
    os.environ["RAY_ADDRESS"] = "somebody:6379"
    with noted_ray():
        pass
    (place / "labelstream-logs-12345678").mkdir()
    with pytest.raises(StartError, match=r"^no run of yours on this machine; start one with"):
        address_of(None)
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    with pytest.raises(StartError, match=f"\\({pwd.getpwuid(os.getuid()).pw_name} may have one: ask as that"):
        address_of(None)


def test_address_waits_for_a_run_with_the_pipeline(monkeypatch: pytest.MonkeyPatch) -> None:
    with noted_ray() as other:
        before = run_folder.noted_runs()
        with noted_ray(pipelines={"mail": "h"}) as address:
            found = iter([before, before, run_folder.noted_runs()])
            monkeypatch.setattr(running, "noted_runs", lambda: next(found))
            monkeypatch.setattr(running, "AGAIN_S", 0.0)
            assert address_of(None, pipeline="mail", wait_s=60) == address != other


def test_address_waits_for_a_starting_run(monkeypatch: pytest.MonkeyPatch) -> None:
    with noted_ray() as address:
        found = iter([[], [], run_folder.noted_runs()])
        monkeypatch.setattr(running, "noted_runs", lambda: next(found))
        monkeypatch.setattr(running, "AGAIN_S", 0.0)
        assert address_of(None, wait_s=60) == address
