"""How many tokens a forward should have, found by trying. Pure: what is tried is the caller's. No torch."""

from collections.abc import Callable
from typing import NamedTuple

GAIN = 1.05  # twice the tokens must be so much faster to be worth twice the memory and the time of a forward
# Of the memory that the model leaves. The rest is for longer sequences than were tried, and for who shares the card.
MOST_MEMORY = 0.4


class Trial(NamedTuple):
    """`memory_share`: of the device's memory without what the model itself takes; 0 of a CPU."""

    tokens_per_s: float
    memory_share: float


def find_budget(
    attempt: Callable[[int], Trial | None], first: int, least: int, most: int, in_time: Callable[[], bool]
) -> int:
    """Doubles from `first` as long as that gains, memory is not short and it is `in_time`; the best budget found.

    `attempt` runs one full forward of a budget; None: the memory did not suffice. Where that is so of `first`, it is
    halved until it does, down to `least`, which is then returned whether it does or not.
    """
    trial = attempt(first)
    if trial is None:
        budget = first // 2
        while budget > least and attempt(budget) is None:
            budget //= 2
        return max(least, budget)
    best = first
    while 2 * best <= most and 2 * trial.memory_share <= MOST_MEMORY and in_time():
        larger = attempt(2 * best)
        if larger is None or larger.tokens_per_s < GAIN * trial.tokens_per_s:
            break
        best, trial = 2 * best, larger
    return best
