"""Dead letters as read from their topic, and a ledger with entries for them."""

from types import SimpleNamespace
from typing import Any

from labelstream.workers.stream.dlq.dead_letters import DeadLetter
from labelstream.workers.stream.dlq.ledger import RedriveLedger, ledger_key, ledger_value


def letter(offset: int, value: bytes = b"value", topic: str = "in", partition: int = 1, **headers: bytes) -> DeadLetter:
    record: Any = SimpleNamespace(
        topic="dlq",
        partition=0,
        offset=offset,
        timestamp=offset * 10,
        key=None,
        value=value,
        headers=[
            ("__connect.errors.topic", topic.encode()),
            ("__connect.errors.partition", b"%d" % partition),
            *((f"labelstream.{name}", text) for name, text in headers.items()),
        ],
    )
    return DeadLetter.of(record)


def ledger_of(*letters: DeadLetter) -> RedriveLedger:
    ledger = RedriveLedger()
    for found in letters:
        ledger.take(entry(found))
    return ledger


def entry(found: DeadLetter) -> Any:
    return SimpleNamespace(key=ledger_key(found.record), value=ledger_value(found.record, "in"))
