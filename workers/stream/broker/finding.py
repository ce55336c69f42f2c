"""Finding of a check: the setting, the problem and the fix in one line."""

import logging
from typing import NamedTuple, Self

from labelstream.workers.errors import LabelstreamError


class Finding(NamedTuple):
    """`key`: dotted path of the setting. `level`: a level of `logging`.

    CRITICAL: the pipeline cannot run. ERROR: the pipeline runs, but not as intended. WARNING and INFO: worth knowing.
    """

    key: str
    text: str
    level: int = logging.CRITICAL

    @classmethod
    def of(cls, error: LabelstreamError, level: int = logging.CRITICAL) -> Self:
        """The finding of an error whose text begins with the key."""
        key, _, text = str(error).partition(": ")
        return cls(key, text, level)

    @property
    def is_problem(self) -> bool:
        """Must the finding be fixed before the start?"""
        return self.level >= logging.ERROR

    def __str__(self) -> str:
        return f"{self.key}: {self.text}"
