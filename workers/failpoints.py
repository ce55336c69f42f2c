"""Points that the stream passes, at which tests hold or end a process. Nothing happens there in production.

The idea is FreeBSD's fail(9): the points are part of the code that is shipped, what happens at them is not.
"""

from collections.abc import Callable

POINTS = (
    AFTER_POLL := "after_poll",
    MID_INFERENCE := "mid_inference",
    AFTER_SEND := "after_send",
    AFTER_SEND_OFFSETS := "after_send_offsets",
    BEFORE_COMMIT := "before_commit",
    AFTER_COMMIT := "after_commit",
)

_hook: Callable[[str], None] | None = None


def install(hook: Callable[[str], None] | None) -> None:
    """Have `hook` told the name of each point that any thread of this process passes; None: nobody."""
    global _hook
    _hook = hook


def passed(point: str) -> None:
    if _hook is not None:
        _hook(point)
