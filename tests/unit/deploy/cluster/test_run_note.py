"""A run's note, written and read."""

import getpass
import os
from pathlib import Path

import pytest

from labelstream.deploy.cluster import run_note as module
from labelstream.deploy.cluster.run_note import RunNote, note_of, resolved
from labelstream.workers.config_file import load_settings
from tests.support.config_tree import tree
from tests.support.run_notes import run_note


def test_note_is_read_as_it_was_written() -> None:
    for note in (run_note("127.0.0.1:1"), run_note("127.0.0.1:1", config=None, user="Åsa", pipelines={})):
        assert RunNote.from_json(note.to_json()) == note
        assert note.to_json().isascii()


def test_note_of_a_newer_version_is_understood() -> None:
    note = run_note("127.0.0.1:1")
    assert RunNote.from_json(note.to_json().replace("{", '{"more": [1], ', 1)) == note


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"address": 1}', run_note("a:1", pid="x").to_json()])
def test_text_that_is_no_note_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="RunNote"):
        RunNote.from_json(text)


def test_note_tells_config_pipelines_and_process(tmp_path: Path) -> None:
    settings = load_settings(tree())
    note = note_of(settings, tmp_path / "x" / ".." / "c.yaml", "127.0.0.1:1")
    assert (note.address, note.config, note.brokers) == (
        "127.0.0.1:1",
        str(tmp_path.resolve() / "c.yaml"),
        settings.required_kafka.bootstrap_servers,
    )
    assert note.pipelines == {name: settings.group_id(name) for name in settings.pipelines}
    assert note.pid == os.getpid()
    assert note_of(settings, None, "127.0.0.1:1").config is None


def test_user_without_a_name_is_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(getpass, "getuser", lambda: "ada")
    assert module.user_name() == "ada"

    def nobody() -> str:
        raise OSError("no username")

    monkeypatch.setattr(getpass, "getuser", nobody)
    assert module.user_name() == f"uid {os.geteuid()}"


def test_path_is_the_files_own_whatever_bytes_it_has(tmp_path: Path) -> None:
    (tmp_path / "link.yaml").symlink_to(tmp_path / "c.yaml")
    assert resolved(tmp_path / "link.yaml") == resolved(tmp_path / "c.yaml")
    odd = resolved(Path(os.fsdecode(b"/etc/\xff.yaml")))
    assert odd == "/etc/\\xff.yaml"
