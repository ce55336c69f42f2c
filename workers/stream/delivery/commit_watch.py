"""Whether the coordinator completed a commit before its connection ended."""

import threading
import time
from collections.abc import Callable
from typing import Any

from kafka import KafkaProducer
from kafka.protocol.admin import DescribeTransactionsRequest  # pyright: ignore[reportAttributeAccessIssue]

RESPONSE_S, PAUSE_S = 10.0, 0.005
PREPARED, COMPLETE = "PrepareCommit", "CompleteCommit"


class CommitWatch:
    """Make one before the commit is requested, with the connection to the coordinator that the commit uses.

    A coordinator acknowledges a commit before it writes the markers. If the coordinator restarts in between, Kafka may
    complete the commit without its markers, and an abort of the next transaction would delete its records. A restart
    ends all connections. So a commit has its markers if its connection lives until the coordinator reports
    CompleteCommit.
    """

    def __init__(self, producer: KafkaProducer, sleep: Callable[[float], None] = time.sleep) -> None:
        any_producer: Any = producer
        self._transactions, self._sleep = any_producer._transaction_manager, sleep
        self._connections = any_producer._sender._client._manager
        self._before = self._connection()

    def saw_completion(self) -> bool:
        """Wait until the coordinator completes the acknowledged commit. False if the markers may be missing.

        The coordinator accepts no next transaction of the id before, so the wait costs no time.
        """
        while (state := self._state()) == PREPARED:
            self._sleep(PAUSE_S)
        return state == COMPLETE and self._before is not None and self._connection() is self._before

    def _connection(self) -> Any:
        connection = self._connections._conns.get(self._transactions._transaction_coordinator)
        return connection if connection is not None and connection.connected else None

    def _state(self) -> str:
        """The transaction's state at the coordinator; empty if the coordinator does not tell."""
        done = threading.Event()
        try:
            answer = self._connections.call_soon(self._ask)
        except RuntimeError:  # the producer is closed
            return ""
        answer.add_both(lambda _: done.set())
        if not done.wait(RESPONSE_S) or answer.exception is not None:
            return ""
        return answer.value.transaction_states[0].transaction_state

    def _ask(self) -> Any:
        request = DescribeTransactionsRequest(transactional_ids=[self._transactions.transactional_id])
        return self._connections.send(request, node_id=self._transactions._transaction_coordinator)
