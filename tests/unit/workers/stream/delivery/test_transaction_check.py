"""A broker without transactions that fence is refused at the start, with the key and the fix."""

from typing import Any

import pytest
from kafka.errors import InvalidTransactionTimeoutError, KafkaError, TransactionalIdAuthorizationFailedError

from labelstream.workers.errors import StartError
from labelstream.workers.settings.kafka import KafkaSettings
from labelstream.workers.stream.broker.connection import IN_MEMORY_API
from labelstream.workers.stream.delivery import transaction_check
from labelstream.workers.stream.delivery.transaction_check import check_transactions

KAFKA = KafkaSettings(bootstrap_servers="127.0.0.1:1", transaction_timeout_ms=30_000)


class Check:
    """`error`: of `init_transactions`. `api_version`: the broker's. `ended`: the producers that were closed."""

    def __init__(self, error: KafkaError | None = None, api_version: tuple[int, ...] = (3, 9)) -> None:
        self.error, self.config = error, {"api_version": api_version}
        self.ended: list[Any] = []
        self.asked_as = ""

    def init_transactions(self) -> None:
        if self.error is not None:
            raise self.error

    def run(self, monkeypatch: pytest.MonkeyPatch, config: dict[str, Any] | None = None) -> None:
        def make(config: Any, kafka: Any, limits: Any, transactional_id: str) -> Any:
            self.asked_as = transactional_id
            return self

        monkeypatch.setattr(transaction_check, "make_transactional_producer", make)
        monkeypatch.setattr(transaction_check, "end", lambda producer, timeout_s: self.ended.append(producer))
        check_transactions(config or {}, KAFKA, "pipelines.p.delivery", "group-p-0f3a")


def test_transactions_that_fence_are_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    check = Check(api_version=(2, 5))
    check.run(monkeypatch)
    assert (check.asked_as, check.ended) == ("group-p-0f3a", [check])


@pytest.mark.parametrize(
    ("check", "said"),
    [
        (Check(api_version=(2, 4)), r"exactly_once needs Kafka 2\.5 or newer.*set at_least_once"),
        (
            Check(TransactionalIdAuthorizationFailedError()),
            r"grant WRITE on transactional ids with the prefix group-p-$",
        ),
        (
            Check(InvalidTransactionTimeoutError()),
            r"transactions failed \(InvalidTransactionTimeoutError: .*transaction_timeout_ms \(30000\) must not exceed",
        ),
    ],
    ids=["old broker", "not allowed", "timeout too long"],
)
def test_broker_without_them_is_refused(monkeypatch: pytest.MonkeyPatch, check: Check, said: str) -> None:
    with pytest.raises(StartError, match=f"^pipelines.p.delivery: .*{said}"):
        check.run(monkeypatch)
    assert check.ended == [check]


def test_in_memory_broker_is_not_even_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    check = Check()
    with pytest.raises(StartError, match="not the in-memory one; set at_least_once"):
        check.run(monkeypatch, {"api_version": IN_MEMORY_API})
    assert check.asked_as == ""
