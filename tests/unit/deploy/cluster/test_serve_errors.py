"""Errors of ours in a deployment's message."""

import traceback

import pytest

from labelstream.deploy.cluster.serve_errors import cause_in, raise_own_error
from labelstream.workers.errors import ModelError, StartError


def test_our_own_error_is_found_in_a_traceback() -> None:
    message = (
        "The deployment failed to start 1 times in a row.\nTraceback (most recent call last):\n"
        '  File "x.py", line 1\nworkers.errors.ModelError: ./x: no config.json; name the folder\n\nRetrying'
    )
    with pytest.raises(ModelError, match=r"^\./x: no config\.json; name the folder$"):
        raise_own_error(message)
    with pytest.raises(StartError, match=r"^no such topic$"):
        raise_own_error("x\nworkers.errors.StartError: no such topic")
    raise_own_error("labelstream.workers.errors.InferenceError: passes by itself")
    raise_own_error("")


def test_no_line_of_a_cause_is_left_out() -> None:
    assert cause_in(
        "Version mismatch: The cluster was started with:\n    Ray: 2.60\n    Python: 3.12.1\nand this:"
    ) == ("Version mismatch: The cluster was started with: Ray: 2.60 Python: 3.12.1 and this:")
    assert cause_in("\n") == "no reason given"


def trace_of(text: str) -> str:
    try:
        raise ValueError(text)
    except ValueError:
        return traceback.format_exc()


def test_cause_is_what_stands_behind_the_last_frame() -> None:
    inner = trace_of("first line\n  second line\nthird line")
    message = f"The deployment failed to start 3 times in a row. Error:\nray::Replica()\n{inner}"
    assert cause_in(message) == "ValueError: first line second line third line"
    assert cause_in(f"RuntimeError: {inner}") == "ValueError: first line second line third line"


def test_chain_of_causes_begins_with_the_first() -> None:
    joint = "\nThe above exception was the direct cause of the following exception:\n\n"
    assert (
        cause_in(joint.join(map(trace_of, ("disk full", "no model")))) == "ValueError: disk full; ValueError: no model"
    )
