"""The lists of errors, by class and area."""

import pytest

from docs.generate import errors as module
from docs.generate.error_texts import ErrorText
from docs.generate.errors import config_errors, model_errors, start_errors, tree

TEXTS = [
    ErrorText("StartError", "deploy/cli/a.py", "topic TOPIC: does not exist", "create it"),
    ErrorText("StartError", "workers/stream/broker/b.py", "no broker answers", ""),
    ErrorText("StartError", "workers/stream/broker/b.py", "wrong protocol", "set it to SSL"),
    ErrorText("StartError", "workers/stream/broker/c.py", "wrong protocol", "set max_age_ms"),
    ErrorText("ConfigError", "workers/settings/ranges.py", "max is below min", ""),
]


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "error_texts", lambda: TEXTS)


def test_errors_are_listed_by_area_with_their_fixes(few: None) -> None:
    assert start_errors() == (
        "### StartError: Brokers, topics and groups\n\n"
        "- `no broker answers`\n"
        "- `wrong protocol`: set it to SSL. Or: set `max_age_ms`.\n\n"
        "### StartError: Commands\n\n"
        "- `topic TOPIC: does not exist`: create it."
    )


def test_each_class_has_its_own_list(few: None) -> None:
    assert config_errors() == "### ConfigError: Config file and environment\n\n- `max is below min`"
    assert model_errors() == ""


def test_tree_has_all_classes() -> None:
    assert tree().startswith("- `LabelstreamError`\n  - `ConfigError`: ")
    assert "\n    - `OffsetOutOfRange`: " in tree()
