"""What a check has found: the setting at fault, and what to do about it, in one line."""

import logging
from typing import NamedTuple


class Finding(NamedTuple):
    """`key`: the dotted path of the setting. `level`: of `logging`.

    ERROR: it cannot run so. WARNING: it starts, and will not do what it should. INFO: it runs; somebody may want to
    know.
    """

    key: str
    text: str
    level: int = logging.ERROR

    @property
    def is_problem(self) -> bool:
        """Is it to be put right before the start?"""
        return self.level >= logging.WARNING

    def __str__(self) -> str:
        return f"{self.key}: {self.text}"
