"""Disables core dumps: the dump of a crashed process would hold messages and secrets."""

import resource


def forbid_core_dumps() -> None:
    """Set the soft limit to 0 for this process and its children. `ulimit -c` raises it again to debug a crash."""
    _, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, hard))
