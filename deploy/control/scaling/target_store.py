"""The control plane's newest targets, once per process, in Serve's controller.

A module of its own: Serve pickles the module of a policy by value, so a global there would exist once per policy.
"""

from typing import NamedTuple


class Targets(NamedTuple):
    """`told_at`: time of the control plane's clock, to order targets. `came_at`: monotonic seconds of this process."""

    told_at: float
    came_at: float
    by_deployment: dict[str, int]


_known: dict[str | None, Targets] = {}


def keep(app: str | None, targets: Targets) -> None:
    """Store `targets` unless newer ones are stored."""
    known = _known.get(app)
    if known is None or targets.told_at > known.told_at:
        _known[app] = targets


def of(app: str | None) -> Targets | None:
    return _known.get(app)


def forget() -> None:
    _known.clear()
