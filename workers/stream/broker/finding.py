"""What a check has found: the setting at fault, and what to do about it, in one line."""

import logging
from typing import NamedTuple, Self

from labelstream.workers.errors import LabelstreamError


class Finding(NamedTuple):
    """`key`: the dotted path of the setting. `level`: of `logging`.

    CRITICAL: it cannot run. ERROR: it runs, and will not do what it should. WARNING and INFO: somebody may want to
    know.
    """

    key: str
    text: str
    level: int = logging.CRITICAL

    @classmethod
    def of(cls, error: LabelstreamError, level: int = logging.CRITICAL) -> Self:
        """From an error whose text begins with the key."""
        key, _, text = str(error).partition(": ")
        return cls(key, text, level)

    @property
    def is_problem(self) -> bool:
        """Is it to be put right before the start?"""
        return self.level >= logging.ERROR

    def __str__(self) -> str:
        return f"{self.key}: {self.text}"
