"""What is deployed and by whom: the control plane keeps it, for whoever comes later."""

import socket
import time
import uuid
from pathlib import Path
from typing import Any, Literal, NamedTuple, NotRequired, TypedDict

from labelstream.deploy.cluster.run_note import resolved, user_name


class Owner(TypedDict):
    """The command that an application belongs to. `config`: its file's whole path on `host`.

    `local`: the Ray ends with the command. `changed_at`: seconds since 1970, by `labelstream apply` of the same file.
    """

    id: str
    command: Literal["run", "apply"]
    user: str
    host: str
    config: str
    local: bool
    changed_at: NotRequired[float]


class UserConfig(TypedDict):
    """Serve's user_config of the control plane, which may change without a restart of anything."""

    owner: Owner | None
    config: dict[str, Any]
    drain_timeout_s: float


class Deployed(NamedTuple):
    """An application that is there. `owner` None: by Serve's own commands, or not to be known.

    `config`: without secrets; None: the control plane gives no answer.
    """

    owner: Owner | None
    config: dict[str, Any] | None
    drain_timeout_s: float


def new_owner(command: Literal["run", "apply"], config: Path, local: bool) -> Owner:
    """Of an application that this process deploys."""
    return {
        "id": uuid.uuid4().hex,
        "command": command,
        "user": user_name(),
        "host": socket.gethostname(),
        "config": resolved(config),
        "local": local,
    }


def is_same_file(owner: Owner, other: Owner) -> bool:
    """Are both of the same config file?"""
    return (owner["host"], owner["config"]) == (other["host"], other["config"])


def changed(owner: Owner) -> Owner:
    """As `owner`, for an application that `labelstream apply` changes and that stays the same command's."""
    return {**owner, "changed_at": time.time()}


def described(owner: Owner | None) -> str:
    """For a message."""
    if owner is None:
        return "another command, such as `serve deploy` or KubeRay"
    return f"`labelstream {owner['command']}` of {owner['user']}@{owner['host']} ({owner['config']})"
