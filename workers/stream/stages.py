"""Where a micro-batch's time goes, from the poll that brought it to the acknowledgement of what it became."""

from typing import NamedTuple


class Stages(NamedTuple):
    """Seconds, which add up to all of the way.

    `decode`: from the end of the poll until the last call is submitted, tokenizing included; `classify`: until the last
    answer; `wait`: for its turn in the order of sending, for a transaction or the breaker; `produce`: until the brokers
    have acknowledged everything, or committed it.
    """

    decode: float
    classify: float
    wait: float
    produce: float
