"""What a run tells other commands of its user: where its Ray is, which config it runs, and since when. Plain data."""

import getpass
import json
import os
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the command's help must be there before pydantic is
    from labelstream.workers.settings import Settings


@dataclass(frozen=True, kw_only=True)
class RunNote:
    """`address`: empty while Ray starts. `config`: the file's resolved path, None where there is none.

    `pipelines`: the consumer group of each.
    `user` and `pid`: whose process it is; `started_at`: seconds since 1970.
    """

    address: str
    config: str | None
    brokers: str
    pipelines: Mapping[str, str]
    user: str
    pid: int
    started_at: float

    def to_json(self) -> str:
        """In ASCII."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "RunNote":
        """Unknown keys are left out. Raises ValueError where it is no note."""
        from pydantic import TypeAdapter

        return TypeAdapter(cls).validate_json(text)


def note_of(settings: "Settings", config: Path | None, address: str) -> RunNote:
    """Of this process, which runs `settings` from the file `config` in the Ray at `address`."""
    return RunNote(
        address=address,
        config=None if config is None else resolved(config),
        brokers=settings.kafka.bootstrap_servers,
        pipelines={name: settings.group_id(name) for name in settings.pipelines},
        user=user_name(),
        pid=os.getpid(),
        started_at=time.time(),
    )


def resolved(config: Path) -> str:
    """The file's absolute path, without links, as text that JSON takes whatever bytes are in it."""
    return os.fsencode(config.resolve()).decode("utf-8", "backslashreplace")


def user_name() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        return f"uid {os.geteuid()}"
