"""Secrets of a local run as files in its private folder: as variables they would be in every process of Ray."""

import os
from collections.abc import MutableMapping
from pathlib import Path

from labelstream.workers.settings.environment import ENV_PREFIX

# Each variable (the names of Labelstream in any case), with the variable that names a file of the same content.
_OURS = {
    f"{ENV_PREFIX}KAFKA__SECURITY__{key}": f"{ENV_PREFIX}KAFKA__SECURITY__{key}_FILE"
    for key in ("PASSWORD", "KEY_PASSWORD")
}
_HUB, _HUB_FILE = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"), "HF_TOKEN_PATH"


def move_secrets_to_files(folder: Path, environment: MutableMapping[str, str] = os.environ) -> None:
    """Move secrets from `environment` to files in `folder`, which is private. Processes started later read
    them there.
    """
    for name in list(environment):
        if (file_variable := _OURS.get(name.upper())) is not None:
            _move(name, file_variable, folder, environment)
    for name in _HUB:  # the first one wins, as in the hub's library
        if environment.get(name):
            _move(name, _HUB_FILE, folder, environment)
            break
    for name in _HUB:
        environment.pop(name, None)


def _move(name: str, file_variable: str, folder: Path, environment: MutableMapping[str, str]) -> None:
    file = folder / file_variable.lower()
    with open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as opened:
        opened.write(environment.pop(name))
    environment[file_variable] = str(file)
