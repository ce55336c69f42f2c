"""Targets that follow a need over time.

A model's number of replicas rises at once, and falls to the highest need of the last DOWN_S. Workers change rarely.
"""

import math

from labelstream.deploy.control.scaling.limits import Bounds
from labelstream.deploy.control.scaling.sliding_max import SlidingMax

DOWN_S = 60.0
IDLE_S = 300.0
START_S = 60.0  # until a start has been measured
MIN_START_S, MAX_START_S = 5.0, 900.0
WORKERS_UP_S, WORKERS_DOWN_S, BETWEEN_MOVES_S = 10.0, 600.0, 60.0
WORKERS_ROOM = 1.5  # a worker costs one core, and a move costs all workers a rebalance


class ModelTarget:
    """Target of one model: what was asked for, when, and how long a replica takes to start."""

    def __init__(self, target: int) -> None:
        self.target = target
        self.start_s = START_S
        self._asked: dict[int, float] = {}  # number of the replica -> time of the request for it
        self._short_max, self._long_max = SlidingMax(DOWN_S), SlidingMax(IDLE_S)
        self._followed = self._gone = False

    def notice(self, at: float, replicas: int) -> None:
        """`replicas` are up now."""
        self._gone = self._gone or replicas == 0
        if self.target == 0 and self._gone and replicas:
            self.follow(at, 1)  # Serve started one for a call that waited
        if replicas:
            self._gone = False
        for number in [number for number in self._asked if number <= replicas]:
            took_s = at - self._asked.pop(number)
            self.start_s = min(MAX_START_S, max(MIN_START_S, (self.start_s + took_s) / 2))

    def coming_s(self, at: float, replicas: int) -> float:
        """Replica-seconds that replicas under way will add within the next `start_s`."""
        return sum(
            min(self.start_s, max(0.0, at - asked)) for number, asked in self._asked.items() if number > replicas
        )

    def follow(self, at: float, wanted: int) -> int:
        """Raise the target at once; lower it to the highest need of the last DOWN_S."""
        if not self._followed:  # what runs at the start counts as the need until now
            self._followed = True
            self.follow(at, self.target)
        short_max, long_max = self._short_max.add(at, wanted), self._long_max.add(at, wanted)
        return self.ask_for(at, short_max or min(long_max, 1))

    def ask_for(self, at: float, target: int) -> int:
        """Set the target, whatever was needed lately."""
        for number in range(self.target + 1, target + 1):
            self._asked[number] = at
        for number in [number for number in self._asked if number > target]:
            del self._asked[number]
        self.target = target
        return target


class WorkerTarget:
    """Target of one pipeline's workers. Changes rarely, because each change is a rebalance."""

    def __init__(self, target: int, bounds: Bounds) -> None:
        self.target, self._bounds = target, bounds
        self._since: float | None = None
        self._moved_at = -math.inf
        self._negated_max, self._max = SlidingMax(WORKERS_UP_S), SlidingMax(WORKERS_DOWN_S)

    def follow(self, at: float, wanted: int) -> int:
        """Rise after some seconds of a higher need; fall to the highest need of a long window."""
        if self._since is None:
            self._since = at
        window_min, window_max = -self._negated_max.add(at, -wanted), self._max.add(at, wanted)
        if at - self._moved_at < BETWEEN_MOVES_S:
            return self.target
        if window_min > self.target and at - self._since >= WORKERS_UP_S:
            self._moved_at, self.target = at, math.ceil(wanted * WORKERS_ROOM)
        elif window_max * WORKERS_ROOM < self.target and at - self._since >= WORKERS_DOWN_S:
            self._moved_at, self.target = at, window_max
        self.target = self._bounds.of(self.target)
        return self.target
