"""Whose an application is."""

from pathlib import Path

from labelstream.deploy.control.deployed import changed, described, is_same_file, new_owner


def test_two_owners_of_one_file_differ_in_their_ids(tmp_path: Path) -> None:
    run, other = (new_owner("run", tmp_path / "a.yaml", local) for local in (True, False))
    assert is_same_file(run, other)
    assert run["id"] != other["id"]
    assert not is_same_file(run, new_owner("apply", tmp_path / "b.yaml", True))


def test_a_change_keeps_the_owner(tmp_path: Path) -> None:
    run = new_owner("run", tmp_path / "a.yaml", True)
    after = changed(run)
    assert after.get("changed_at")
    assert {**after, "changed_at": None} == {**run, "changed_at": None}


def test_owner_is_described_by_command_user_host_and_file(tmp_path: Path) -> None:
    owner = {**new_owner("apply", tmp_path / "a.yaml", False), "user": "ops", "host": "n1"}
    assert described(owner) == f"`labelstream apply` of ops@n1 ({tmp_path / 'a.yaml'})"  # type: ignore[arg-type]
    assert described(None).startswith("another command")
