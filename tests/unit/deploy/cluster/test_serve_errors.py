"""Errors of ours in a deployment's message."""

import pytest

from labelstream.deploy.cluster.serve_errors import raise_own_error
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
