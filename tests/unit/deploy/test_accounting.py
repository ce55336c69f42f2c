"""Every message is counted once: sent, answered, missing, unexpected."""

import time
from collections import Counter
from threading import Thread

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labelstream.deploy.accounting import Accounting


class TestLedger:
    def test_every_message_is_counted_once(self) -> None:
        ledger = Accounting()
        assert ledger.claim(window=3, max_messages=10, timeout_s=0) == 3
        assert ledger.claim(window=3, max_messages=10, timeout_s=0) == 0
        for partition, offset in ((0, 0), (1, 0), (0, 1)):
            ledger.sent(partition, offset)
        assert ledger.result(0, 1, latency_ms=5)
        assert ledger.dead_letter(1, 0, "empty_text")
        assert not ledger.result(0, 1, latency_ms=6)
        assert ledger.claim(window=3, max_messages=1, timeout_s=0) == 1
        totals = ledger.totals()
        assert (totals.sent, totals.results, totals.duplicates, totals.missing) == (3, 1, 1, 1)
        assert (totals.accounted, totals.unexpected, totals.p50_ms) == (2, 0, 5)
        assert totals.dead_letters == Counter(empty_text=1)
        ledger.result(0, 0, 1)
        ledger.result(5, 0, 1)
        assert (ledger.totals().missing, ledger.totals().unexpected) == (0, 1)

    @given(st.sets(st.integers(0, 40)), st.lists(st.integers(0, 40)))
    def test_against_plain_sets(self, sent: set[int], answered: list[int]) -> None:
        ledger = Accounting()
        for offset in sent:
            ledger.sent(0, offset)
        for offset in answered:
            ledger.result(0, offset, 1)
        totals = ledger.totals()
        assert totals.missing == len(sent - set(answered))
        assert totals.unexpected == len(set(answered) - sent)
        assert totals.duplicates == len(answered) - len(set(answered))
        assert totals.accounted == len(sent & set(answered))

    def test_the_first_failure_is_kept(self) -> None:
        ledger = Accounting()
        ledger.raise_failure()
        ledger.fail(ValueError("first"))
        ledger.fail(ValueError("second"))
        with pytest.raises(ValueError, match="first"):
            ledger.raise_failure()

    def test_many_messages_stay_cheap(self) -> None:
        ledger, started = Accounting(), time.monotonic()
        for offset in range(20_000):
            ledger.sent(0, offset)
            ledger.result(0, offset, 1)
        for _ in range(100):
            ledger.totals()
        assert time.monotonic() - started < 5

    def test_wait_ends_when_enough_came_back(self) -> None:
        ledger = Accounting()
        waited: list[bool] = []
        waiter = Thread(target=lambda: waited.append(ledger.wait_for(2, stall_s=30)))
        waiter.start()
        with ledger.many_at_once():
            ledger.result(0, 0, 1)
            ledger.dead_letter(0, 1, "empty_text")
            assert waited == []
        waiter.join(30)
        assert waited == [True]

    def test_wait_gives_up_when_nothing_comes(self) -> None:
        ledger = Accounting()
        ledger.result(0, 0, 1)
        ledger.result(0, 0, 1)  # a duplicate is no other message
        assert not ledger.wait_for(2, stall_s=0.01)
        assert ledger.wait_for(1, stall_s=0.01)
