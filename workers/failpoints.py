"""Named points of the stream at which tests pause or kill a process. In production they do nothing.

As FreeBSD's fail(9): the shipped code has the points, and a test installs what happens at them.
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
    """Call `hook` with the name of each point that a thread of this process passes; None removes the hook."""
    global _hook
    _hook = hook


def passed(point: str) -> None:
    if _hook is not None:
        _hook(point)
