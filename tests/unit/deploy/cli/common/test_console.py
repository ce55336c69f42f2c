"""Escaped text, announcements, and stopping by signal at any moment."""

import signal
import sys
import time
import weakref
from pathlib import Path
from threading import Event

import pytest

from labelstream.deploy.cli.common.console import (
    HINTS,
    VERBOSITY,
    announced,
    escape,
    escape_bytes,
    say,
    stops_on_signals,
)


class _RaisesSignal:
    """Raises a signal in `__del__`, where no exception can propagate."""

    def __init__(self, number: signal.Signals) -> None:
        self._number = number

    def __del__(self) -> None:
        signal.raise_signal(self._number)


def _sleep_after_signal(number: signal.Signals) -> None:
    victim = _RaisesSignal(number)
    del victim
    time.sleep(20)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupt_in_del_is_sent_again(number: signal.Signals, capfd: pytest.CaptureFixture[str]) -> None:
    hook = sys.unraisablehook
    with pytest.raises(KeyboardInterrupt), stops_on_signals():
        _sleep_after_signal(number)
    assert sys.unraisablehook is hook
    assert "Traceback" not in capfd.readouterr().err


def test_lost_interrupt_is_dropped_after_the_block() -> None:
    with stops_on_signals():
        victim = _RaisesSignal(signal.SIGTERM)
        del victim
    time.sleep(0.3)


def test_other_unraisable_errors_reach_the_hook(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = []
    monkeypatch.setattr(sys, "unraisablehook", shown.append)

    def fail(reference: object) -> None:
        raise ValueError("a bug")

    with stops_on_signals():
        referent = set[int]()
        reference = weakref.ref(referent, fail)
        del referent
    assert reference() is None
    assert [unraisable.exc_type for unraisable in shown] == [ValueError]


def test_escapes() -> None:
    assert escape("a\u202eb\x9b\n\ud800é😀") == "a\\u202eb\\x9b\\n\\ud800é😀"
    assert escape_bytes(b"\xffa\x00") == "\\xffa\\x00"


@pytest.mark.parametrize(
    "invisible", ["\u061c", "\u200b", "\u2060", "\ufeff", "\xad", "\U000e0041", "\u2028", "\u2029", "\x1b"]
)
def test_escape_shows_invisible_characters(invisible: str) -> None:
    assert escape(f"a{invisible}b") == f"a{invisible.encode('unicode_escape').decode()}b"


@pytest.mark.parametrize("plain", ["naïve", "日本語\u3000全角", "10\u00a0000 €", "e\u0301", "😀"])
def test_escape_keeps_visible_characters(plain: str) -> None:
    assert escape(plain) == plain


def test_slow_block_is_announced() -> None:
    said = Event()
    with announced("loading", lambda text: said.set(), after_s=0):
        assert said.wait(60)


def test_fast_block_is_not_announced() -> None:
    told: list[str] = []
    with announced("loading", told.append, after_s=600):
        pass
    assert told == []


def test_hints_name_the_config_file(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    hint = "create it with `labelstream topics create -c FILE`"
    monkeypatch.setattr(HINTS, "config", None)
    say(hint)
    monkeypatch.setattr(HINTS, "config", Path("my files/a.yaml"))
    say(hint)
    monkeypatch.setattr(VERBOSITY, "json_logs", True)
    say(hint)
    named = "create it with `labelstream topics create -c 'my files/a.yaml'`"
    assert capsys.readouterr().err.splitlines() == [hint, named, hint]
