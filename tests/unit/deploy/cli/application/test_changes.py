"""The lines for what a new config changes."""

from labelstream.deploy.cli.application.changes import changes

BEFORE = {
    "kafka": {"bootstrap_servers": "a:1"},
    "models": {"m": {"source": "x", "replicas": {"min": 1, "max": 2}}, "old": {"source": "y"}},
    "pipelines": {"p": {"input": "in"}},
}


def test_added_removed_and_changed_parts_are_named() -> None:
    after = {
        "kafka": {"bootstrap_servers": "b:1"},
        "models": {"m": {"source": "z", "replicas": {"min": 1, "max": 3}}, "new": {"source": "y"}},
        "pipelines": {"p": {"input": "in"}, "q": {"input": "in"}},
        "logs": {"level": "debug"},
    }
    assert changes(BEFORE, after) == [
        "model m: changed (replicas.max, source)",
        "model new: added",
        "model old: removed",
        "pipeline q: added",
        "kafka: changed (bootstrap_servers)",
        "logs: changed",
    ]


def test_same_config_changes_nothing() -> None:
    assert changes(BEFORE, BEFORE) == []


def test_values_are_not_shown() -> None:
    assert "secret" not in "".join(changes(BEFORE, {**BEFORE, "kafka": {"bootstrap_servers": "secret"}}))
