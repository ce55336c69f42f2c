"""The note of a run for other commands of its user: address of its Ray, its config and its start. Plain data."""

import getpass
import json
import os
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the command's help must not import pydantic
    from labelstream.workers.settings.application import Settings


@dataclass(frozen=True, kw_only=True)
class RunNote:
    """The note of a run.

    - `address`: empty while Ray starts.
    - `config`: resolved path of the file; None without a file.
    - `brokers`: empty without the section `kafka`.
    - `pipelines`: the consumer group of each pipeline.
    - `user`, `pid`: of the process.
    - `started_at`: seconds since 1970.
    """

    address: str
    config: str | None
    brokers: str
    pipelines: Mapping[str, str]
    user: str
    pid: int
    started_at: float

    def to_json(self) -> str:
        """JSON in ASCII."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "RunNote":
        """Parse a note; unknown keys are dropped. Raises ValueError if `text` is no note."""
        from pydantic import TypeAdapter

        return TypeAdapter(cls).validate_json(text)


def note_of(settings: "Settings", config: Path | None, address: str) -> RunNote:
    """The note of this process, which runs `settings` from `config` in the Ray at `address`."""
    return RunNote(
        address=address,
        config=None if config is None else resolved(config),
        brokers="" if settings.kafka is None else settings.kafka.bootstrap_servers,
        pipelines={name: settings.group_id(name) for name in settings.pipelines},
        user=user_name(),
        pid=os.getpid(),
        started_at=time.time(),
    )


def resolved(config: Path) -> str:
    """Absolute path without links, as text that JSON accepts for any bytes in the path."""
    return os.fsencode(config.resolve()).decode("utf-8", "backslashreplace")


def user_name() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        return f"uid {os.geteuid()}"
