"""Stopping by signal: whatever Python is doing at that moment."""

import signal
import sys
import time
import weakref
from threading import Event

import pytest

from labelstream.deploy.cli.common.console import announced, escape, escape_bytes, stops_on_signals


class _Told:
    """Gets a signal where nothing can be raised."""

    def __init__(self, number: signal.Signals) -> None:
        self._number = number

    def __del__(self) -> None:
        signal.raise_signal(self._number)


def _sleep_told(number: signal.Signals) -> None:
    told = _Told(number)
    del told
    time.sleep(20)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_that_cannot_be_raised_is_not_lost(
    number: signal.Signals, capfd: pytest.CaptureFixture[str]
) -> None:
    hook = sys.unraisablehook
    with pytest.raises(KeyboardInterrupt), stops_on_signals():
        _sleep_told(number)
    assert sys.unraisablehook is hook
    assert "Traceback" not in capfd.readouterr().err


def test_behind_the_block_nothing_is_sent_any_more() -> None:
    with stops_on_signals():
        told = _Told(signal.SIGTERM)
        del told
    time.sleep(0.3)


def test_other_errors_that_cannot_be_raised_are_shown_as_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = []
    monkeypatch.setattr(sys, "unraisablehook", shown.append)

    def fail(reference: object) -> None:
        raise ValueError("a bug")

    with stops_on_signals():
        told = set[int]()
        reference = weakref.ref(told, fail)
        del told
    assert reference() is None
    assert [unraisable.exc_type for unraisable in shown] == [ValueError]


def test_escapes() -> None:
    assert escape("a\u202eb\x9b\n\ud800é😀") == "a\\u202eb\\x9b\\n\\ud800é😀"
    assert escape_bytes(b"\xffa\x00") == "\\xffa\\x00"


@pytest.mark.parametrize(
    "unseen", ["\u061c", "\u200b", "\u2060", "\ufeff", "\xad", "\U000e0041", "\u2028", "\u2029", "\x1b"]
)
def test_escape_shows_what_is_not_seen(unseen: str) -> None:
    assert escape(f"a{unseen}b") == f"a{unseen.encode('unicode_escape').decode()}b"


@pytest.mark.parametrize("plain", ["naïve", "日本語\u3000全角", "10\u00a0000 €", "e\u0301", "😀"])
def test_escape_leaves_what_is_seen(plain: str) -> None:
    assert escape(plain) == plain


def test_what_takes_long_is_announced_once() -> None:
    said = Event()
    with announced("loading", lambda text: said.set(), after_s=0):
        assert said.wait(60)


def test_what_is_done_at_once_is_not_announced() -> None:
    told: list[str] = []
    with announced("loading", told.append, after_s=600):
        pass
    assert told == []
