"""How the coordinator ended the last transaction of a transactional id."""

import time
from collections.abc import Callable
from contextlib import closing, suppress
from typing import Any

from kafka import KafkaAdminClient
from kafka.errors import (
    RetriableError,  # pyright: ignore[reportAttributeAccessIssue]
    TransactionalIdNotFoundError,  # pyright: ignore[reportAttributeAccessIssue]
)

ATTEMPTS, PAUSE_S = 40, 0.25
COMMITTED = frozenset({"PrepareCommit", "CompleteCommit"})


class LastTransaction:
    """The last transaction of a transactional id. Share one instance between the producers of the id.

    `was_committed`: a commit took effect, although its markers may be lost. True from `look` until `cleared`, because
    the coordinator forgets the commit when a new producer initializes the id.
    """

    def __init__(
        self, config: dict[str, Any], transactional_id: str, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._config, self._id, self._sleep = config, transactional_id, sleep
        self.was_committed = False

    def look(self) -> None:
        """Ask the coordinator. Call before a producer initializes the id. Raises KafkaError.

        Retries for up to 10 s while the coordinator starts, for example at the first transaction of a cluster.
        """
        for _ in range(ATTEMPTS - 1):
            try:
                self._ask()
                return
            except RetriableError:
                self._sleep(PAUSE_S)
        self._ask()

    def _ask(self) -> None:
        # ValueError: kafka-python lacks some state names, but none of a commit.
        with closing(KafkaAdminClient(**self._config)) as admin, suppress(TransactionalIdNotFoundError, ValueError):
            found: Any = admin.describe_transactions([self._id])  # pyright: ignore[reportAttributeAccessIssue]
            self.was_committed |= found[self._id].state.value in COMMITTED

    def cleared(self) -> None:
        """Call when all markers of the id's last transaction are written."""
        self.was_committed = False
