"""What is deployed and by whom, as the control plane keeps it for later commands."""

import socket
import time
import uuid
from pathlib import Path
from typing import Any, Literal, NamedTuple, NotRequired, TypedDict

from labelstream.deploy.cluster.run_note import resolved, user_name


class Owner(TypedDict):
    """The command that owns an application. `config`: absolute path of its file on `host`.

    `local`: the Ray cluster ends with the command. `page`: the command has the option --page. `changed_at`: seconds
    since 1970 of the last `labelstream apply` of the same file.
    """

    id: str
    command: Literal["run", "apply"]
    user: str
    host: str
    config: str
    local: bool
    page: NotRequired[bool]
    changed_at: NotRequired[float]


class UserConfig(TypedDict):
    """Serve's user_config of the control plane. A change restarts nothing."""

    owner: Owner | None
    config: dict[str, Any]
    drain_timeout_s: float


class Deployed(NamedTuple):
    """A running application. `owner`: None if Serve's own commands deployed it, or if the owner is unknown.

    `config`: without secrets; None: the control plane does not answer.
    """

    owner: Owner | None
    config: dict[str, Any] | None
    drain_timeout_s: float


def new_owner(command: Literal["run", "apply"], config: Path, local: bool, page: bool = False) -> Owner:
    """The owner of an application that this process deploys."""
    return {
        "id": uuid.uuid4().hex,
        "command": command,
        "user": user_name(),
        "host": socket.gethostname(),
        "config": resolved(config),
        "local": local,
        "page": page,
    }


def is_same_file(owner: Owner, other: Owner) -> bool:
    """Whether both owners deployed the same config file."""
    return (owner["host"], owner["config"]) == (other["host"], other["config"])


def changed(owner: Owner) -> Owner:
    """`owner` after `labelstream apply` has changed the application; the application stays with the same command."""
    return {**owner, "changed_at": time.time()}


def described(owner: Owner | None) -> str:
    """The owner, as a text for a message."""
    if owner is None:
        return "another command, such as `serve deploy` or KubeRay"
    return f"`labelstream {owner['command']}` of {owner['user']}@{owner['host']} ({owner['config']})"
