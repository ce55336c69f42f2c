"""No core dumps: a process that dies would leave messages and secrets in a file."""

import resource


def forbid_core_dumps() -> None:
    """For this process and those that it starts. Whoever debugs a crash raises the limit again (`ulimit -c`)."""
    _, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, hard))
