"""All errors of a config are reported at once, each with key, problem and fix."""

import re
from typing import Any

import pytest

from labelstream.workers.config_file import load_settings
from labelstream.workers.errors import ConfigError
from tests.support.config_tree import tree


def lines(config: dict[str, Any]) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load_settings(config)
    return caught.value.lines


def test_all_errors_of_a_config_are_reported() -> None:
    config = tree(delivery="maybe", workers={"min": 3, "max": 2})
    config["kafka"] |= {"compresion": "lz4", "security": {"password": "hunter2"}}
    config["models"]["sentiment"] |= {"pooling": "cls", "stride": 3}
    assert lines(config) == [
        "kafka.security.password: secrets do not belong in the config file; "
        "set LABELSTREAM_KAFKA__SECURITY__PASSWORD or password_file",
        "kafka.security: SASL settings have no effect with protocol PLAINTEXT: set protocol to SASL_SSL",
        "kafka.compresion: unknown setting; did you mean compression?",
        "models.sentiment: pooling has no effect with task text-classification: remove pooling, or set another task",
        "models.sentiment: stride and aggregate have no effect with long_text truncate: set long_text to windows",
        "pipelines.feedback.delivery: must be 'at_least_once' or 'exactly_once', not 'maybe'",
        "pipelines.feedback.workers: max (2) is below min (3)",
    ]


def test_wrong_value_hides_no_contradiction_elsewhere() -> None:
    config = tree(inptu="x", model="nope")
    pipeline = config["pipelines"]["feedback"] | {"model": "sentiment"}
    del pipeline["inptu"]
    config["pipelines"] |= {
        "second": pipeline | {"group_id": "g", "rebalance_drain_s": 200},
        "third": pipeline | {"group_id": "g", "transaction_interval_ms": 20_000},
    }
    told = lines(config)
    assert told[0] == "pipelines.feedback.inptu: unknown setting; did you mean input?"
    assert [line.partition(":")[0] for line in told[1:]] == [
        "pipelines.feedback.model",
        "pipelines.second.rebalance_drain_s",
        "pipelines.third.transaction_interval_ms",
        "pipelines",
    ]


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"num_gpus": "many"}, "num_gpus: must be a number, or must be 'auto', not 'many'$"),
        ({"device": "gpu"}, r"device: must be 'auto', 'cpu' or 'cuda', not 'gpu'; did you mean cuda\?$"),
        ({"task": "x"}, "task: must be 'text-classification', 'zero-shot-classification', 'fill-mask' or 'feature-ex"),
        ({"thresholds": {"a": "x"}}, r"thresholds\.a: must be a number$"),
        ({"threshold": 1.5}, "threshold: must be at most 1; null means 0.5 for independent labels$"),
        ({"top_k": "all"}, "top_k: must be a whole number; null means all labels$"),
        ({"candidate_labels": [1]}, r"candidate_labels\.0: must be text$"),
        ({"qqq": 1}, "qqq: unknown setting; remove it, or find its name in `labelstream schema config`$"),
    ],
)
def test_wrong_value_says_what_is_allowed(change: dict[str, Any], line: str) -> None:
    config = tree()
    config["models"]["sentiment"] |= change
    (told,) = lines(config)
    assert re.search(rf"^models\.sentiment\.{line}", told), told


def test_missing_keys_and_bad_forms_are_explained() -> None:
    config = tree(dead_letter="a b")
    del config["pipelines"]["feedback"]["output"]
    config["kafka"]["bootstrap_servers"] = "localhost"
    config["models"]["Bad Name"] = {"source": "x"}
    told = lines(config)
    assert told[0] == "kafka.bootstrap_servers: must be HOST:PORT, several joined by commas"
    assert told[1].startswith("models.Bad Name: must be of lower-case letters, digits, - and _, with ")
    assert told[2] == "pipelines.feedback.output: is missing; add it: topic that the pipeline writes results to"
    assert told[3] == "pipelines.feedback.dead_letter: must be of letters, digits, ., _ and -, 249 at most"


def test_wrong_range_names_both_allowed_forms() -> None:
    config = tree(workers="many")
    config["models"]["sentiment"]["replicas"] = [1, 2]
    assert lines(config) == [
        "models.sentiment.replicas: must be a number, or {min: NUMBER, max: NUMBER}",
        "pipelines.feedback.workers: must be a number, or {min: NUMBER, max: NUMBER}",
    ]


def test_unknown_variable_suggests_the_nearest_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABELSTREAM_KAFAK__BOOTSTRAP_SERVERS", "x:1")
    monkeypatch.setenv("LABELSTREAM_QQQ__X", "1")
    monkeypatch.setenv("LABELSTREAM_KAFKA__BOOTSTRAP", "x:1")
    monkeypatch.setenv("LABELSTREAM_MODELS__SENTIMENT__TOP_K", "many")
    assert sorted(lines(tree())) == [
        "LABELSTREAM_KAFAK__BOOTSTRAP_SERVERS: unknown setting; did you mean LABELSTREAM_KAFKA__BOOTSTRAP_SERVERS?",
        "LABELSTREAM_QQQ__X: unknown setting; known sections: kafka, models, pipelines, http, logs, tracing",
        "kafka.bootstrap: unknown setting (from LABELSTREAM_KAFKA__BOOTSTRAP); "
        "did you mean LABELSTREAM_KAFKA__BOOTSTRAP_SERVERS?",
        "models.sentiment.top_k: must be a whole number (from LABELSTREAM_MODELS__SENTIMENT__TOP_K); "
        "null means all labels",
    ]
