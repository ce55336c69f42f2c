"""Secrets of a local run are in files of its owner, and in no variable that Ray's processes get."""

from pathlib import Path

from labelstream.deploy.cluster.secret_files import move_secrets_to_files


def test_secrets_become_files_of_the_owner(tmp_path: Path) -> None:
    environment = {
        "LABELSTREAM_KAFKA__SECURITY__PASSWORD": "päss word\n",
        "labelstream_kafka__security__key_password": "of the key",
        "HUGGING_FACE_HUB_TOKEN": "older",
        "HF_TOKEN": "hf_x",
        "LABELSTREAM_KAFKA__SECURITY__USERNAME": "u",
    }
    move_secrets_to_files(tmp_path, environment)
    assert set(environment) == {
        "LABELSTREAM_KAFKA__SECURITY__PASSWORD_FILE",
        "LABELSTREAM_KAFKA__SECURITY__KEY_PASSWORD_FILE",
        "HF_TOKEN_PATH",
        "LABELSTREAM_KAFKA__SECURITY__USERNAME",
    }
    files = {name: Path(environment[name]) for name in environment if not name.endswith("USERNAME")}
    assert all(file.stat().st_mode & 0o777 == 0o600 and file.parent == tmp_path for file in files.values())
    assert {file.read_text(encoding="utf-8") for file in files.values()} == {"päss word\n", "of the key", "hf_x"}


def test_nothing_changes_without_secrets(tmp_path: Path) -> None:
    environment = {"HF_TOKEN": "", "HF_TOKEN_PATH": "/theirs", "LABELSTREAM_KAFKA__SECURITY__PASSWORD_FILE": "/ours"}
    move_secrets_to_files(tmp_path, environment)
    assert environment == {"HF_TOKEN_PATH": "/theirs", "LABELSTREAM_KAFKA__SECURITY__PASSWORD_FILE": "/ours"}
    assert list(tmp_path.iterdir()) == []
