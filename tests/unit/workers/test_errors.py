"""The error tree: retriable errors, texts for people, and pickling."""

import inspect
import pickle
import re

import pytest

from labelstream.workers import errors
from labelstream.workers.errors import ConfigError, LabelstreamError, StreamError

OURS = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, LabelstreamError)]
RETRIABLE = {"InferenceError", "ModelChanged", "FailedApart", "StreamError", "RecordRefused", "GatewayUnavailable"}


def test_retriable_errors_are_listed() -> None:
    assert {kind.__name__ for kind in OURS if kind.retriable} == RETRIABLE


def test_docstring_tree_matches_the_classes() -> None:
    drawn = re.findall(r"^[\u2502\u251c\u2514\u2500 ]*([A-Z]\w+)", str(errors.__doc__).split("\n\n")[1], re.MULTILINE)
    assert set(drawn) == {kind.__name__ for kind in OURS}


@pytest.mark.parametrize("kind", OURS, ids=lambda kind: kind.__name__)
def test_error_survives_pickle(kind: type[LabelstreamError]) -> None:
    error = kind("models.m", "is wrong", "mend it") if issubclass(kind, ConfigError) else kind("is wrong")
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), str(copy), copy.retriable) == (kind, str(error), kind.retriable)


def test_config_error_names_key_problem_and_fix() -> None:
    assert str(ConfigError("kafka.x", "unknown setting", "remove it")) == "kafka.x: unknown setting; remove it"
    assert str(ConfigError("kafka.x", "unknown setting")) == "kafka.x: unknown setting"
    error = pickle.loads(pickle.dumps(ConfigError("a", "b", "c")))
    assert (error.key, error.problem, error.fix) == ("a", "b", "c")


def test_refused_command_keeps_ours_across_pickle() -> None:
    assert errors.CommandRefused("not paused").ours
    assert not errors.CommandRefused("not here", ours=False).ours
    assert not issubclass(errors.CommandRefused, StreamError)


def test_config_error_keeps_others_across_pickle() -> None:
    error = ConfigError("a", "is wrong", "mend it", (ConfigError("b", "is missing"),))
    again = pickle.loads(pickle.dumps(error))
    assert again.lines == ["a: is wrong; mend it", "b: is missing"]
    assert str(again) == "a: is wrong; mend it (and 1 more)"
    assert (again.key, again.problem, again.fix) == ("a", "is wrong", "mend it")
