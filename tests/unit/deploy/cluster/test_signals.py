"""Signals while the process stops."""

import signal

import pytest

from labelstream.deploy.cluster.signals import Patience, handling


def test_one_more_signal_while_stopping_changes_nothing() -> None:
    with handling((signal.SIGTERM,), Patience()):
        signal.raise_signal(signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)
