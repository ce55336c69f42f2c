"""Complete notes of runs on this machine, in which a test overrides what matters to it."""

from pathlib import Path
from typing import Any

from labelstream.deploy.cluster import run_folder
from labelstream.deploy.cluster.run_note import RunNote


def run_note(address: str, **changes: Any) -> RunNote:
    """Of a run of one pipeline."""
    note: dict[str, Any] = {
        "config": "/etc/labelstream.yaml",
        "brokers": "kafka:9092",
        "pipelines": {"feedback": "labelstream-feedback"},
        "user": "ada",
        "pid": 4711,
        "started_at": 1_790_000_000.0,
    }
    return RunNote(address=address, **{**note, **changes})


def note_run(address: str, **changes: Any) -> Path:
    """A new run's folder, with a note like this in it."""
    folder = run_folder.make_run_folder()
    run_folder.write_note(folder, run_note(address, **changes))
    return folder
