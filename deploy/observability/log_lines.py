"""Parses log lines of Ray processes: keeps the lines of Labelstream and formats them for a terminal."""

import json
import logging
import re
from typing import NamedTuple

from labelstream.deploy.names import APP
from labelstream.deploy.observability.logs import INDENT, OURS

# The text format of `logs.set_up`.
_LINE = re.compile(
    r"\d{4}-\d\d-\d\d (?P<time>\d\d:\d\d:\d\d),\d{3} (?P<level>[A-Z]+) "
    rf"(?P<place>\S+) {OURS}\.\S+: (?P<text>.*)"
)
# Of a traceback only the exception is shown: the rest needs knowledge of the code.
_FRAMES = re.compile(
    rf"{INDENT}(\s|$|Traceback |During handling of the above|The above exception was the direct cause)"
)

# Lines of Serve's controller about replicas of Labelstream, except that a replica takes its time to start.
_SAID = (  # and what is said instead; None: the line before says it
    (re.compile(r"Actor for (.+) crashed\b.*"), "{0} died: its process crashed or was killed; Serve replaces it"),
    (re.compile(r"Didn't receive .* for replica (.+) after (\S+)s, .*"), "{0} did not answer a health check in {1} s"),
    (re.compile(r"(.+) failed the health check (\d+) times .*"), "{0} failed {1} health checks; Serve replaces it"),
    (re.compile(r"Health check for (.+) failed: (.*)"), "{0} failed a health check: {1}"),
    (re.compile(r"(.+) failed health check, stopping it\."), None),
)
_CONTROLLER = re.compile(r"(?P<level>WARNING|ERROR) \S+ \S+ controller \d+ -- (?P<text>.*)")
_REPLICA = re.compile(rf"(?:Replica )?Replica\(id='(\w+)', deployment='([^']+)', app='{APP}'\)")
_UNSCHEDULED = re.compile(
    rf"Deployment '(?P<name>[^']+)' in application '{APP}' has (?P<count>\d+) replicas .* than (?P<seconds>\d+)s to be "
    r"scheduled\b.* for each replica: (?P<wanted>\{.+?\}), total resources available: (?P<free>\{.*?\})\..*"
)


class _Source(NamedTuple):
    """The process that logs; continuation lines belong to its last line."""

    ip: str
    pid: str


class LineReader:
    """Reads lines of many processes, in batches. Keeps the prefix of each process's last line."""

    def __init__(self) -> None:
        self._heads: dict[_Source, str] = {}

    def read(self, ip: str, pid: str, lines: list[str]) -> list[str]:
        """The lines of Labelstream: `TIME LEVEL PLACE: TEXT`, or JSON lines unchanged."""
        source, shown = _Source(ip, pid), list[str]()
        for line in lines:
            if found := _LINE.fullmatch(line):
                self._heads[source] = f"{found['time']} {found['level']} {found['place']}: "
                subject = found["place"].partition("/")[0].replace("-", " ", 1)  # as many lines begin
                shown.append(self._heads[source] + found["text"].removeprefix(f"{subject}: "))
            elif line.startswith(INDENT) and source in self._heads:
                if not _FRAMES.match(line):
                    shown.append(self._heads[source] + line.removeprefix(INDENT))
            else:
                self._heads.pop(source, None)
                if _is_ours(line):
                    shown.append(line)
        return shown


def of_controller(line: str) -> tuple[int, str] | None:
    """Level and text of a line of Serve's controller about a replica of Labelstream; None for other lines."""
    found = _CONTROLLER.fullmatch(line)
    if found is None:
        return None
    level = logging.getLevelNamesMapping()[found["level"]]
    if _REPLICA.search(found["text"]):
        text = _REPLICA.sub(lambda replica: _named(replica[2], replica[1]), found["text"])
        for pattern, said in _SAID:
            if parts := pattern.fullmatch(text):
                return None if said is None else (level, said.format(*parts.groups()))
        return level, text
    if waits := _UNSCHEDULED.fullmatch(found["text"]):
        return level, (
            "{count} of {name} wait for a machine for more than {seconds} s; each needs {wanted}, "
            "free are {free}".format(**waits.groupdict())
        )
    return None


def _named(deployment: str, replica: str) -> str:
    kind, _, name = deployment.partition("-")
    subject = {"pipeline": f"pipeline {name}: worker", "model": f"model {name}: replica"}.get(kind, f"{deployment}:")
    return f"{subject} {replica}"


def _is_ours(line: str) -> bool:
    """Whether a JSON line is Labelstream's."""
    if not line.startswith("{"):
        return False
    try:
        entry = json.loads(line)
    except ValueError:
        return False
    return str(entry.get("logger", "")).startswith(f"{OURS}.") and "deployment" in entry
