"""The models to evaluate, by --model, --set, --compare and the config."""

from typing import Any

import pytest

from labelstream.deploy.cli.common.arguments import DEMO_MODEL
from labelstream.deploy.cli.evaluation.candidates import DEMO, Candidate, compared, first_candidate, options_of
from labelstream.workers.errors import ConfigError
from labelstream.workers.settings.model import ModelSettings

MODELS: dict[str, Any] = {
    "sentiment": ModelSettings(source="owner/name", long_text="windows", max_batch_tokens=64, num_cpus=2),
    "topics": ModelSettings(source="/a/folder"),
}
FIRST = Candidate("owner/name", "owner/name", {"dtype": "float32"})


def test_default_is_the_demo_model_or_the_config_s_only_one() -> None:
    assert first_candidate(None, {}, {}) == Candidate(DEMO, str(DEMO_MODEL), {})
    assert first_candidate(None, {}, {"topics": MODELS["topics"]}) == Candidate("topics", "/a/folder", {})
    with pytest.raises(ConfigError, match=r"^--model: is missing; name one of the config's models: sentiment, topics$"):
        first_candidate(None, {}, MODELS)


def test_model_of_the_config_brings_the_options_of_its_engine() -> None:
    found = first_candidate("sentiment", {"dtype": "bfloat16"}, MODELS)
    options = {"long_text": "windows", "max_batch_tokens": 64, "dtype": "bfloat16"}
    assert found == Candidate("sentiment", "owner/name", options, {"dtype": "bfloat16"})


def test_source_that_the_config_does_not_name() -> None:
    assert first_candidate("other/name", {}, MODELS) == Candidate("other/name", "other/name", {})


@pytest.mark.parametrize(
    ("spec", "wanted"),
    [
        ("other/name", Candidate("other/name", "other/name", {"revision": "v1"})),
        ("topics", Candidate("topics", "/a/folder", {"revision": "v1"})),
        (
            "other/name,dtype=bfloat16",
            Candidate("other/name dtype=bfloat16", "other/name", {"revision": "v1", "dtype": "bfloat16"}),
        ),
        (
            "dtype=bfloat16,max_length=64",
            Candidate("owner/name dtype=bfloat16 max_length=64", "owner/name", {"dtype": "bfloat16", "max_length": 64}),
        ),
    ],
    ids=["source", "of-config", "source-and-options", "options"],
)
def test_compared_model(spec: str, wanted: Candidate) -> None:
    assert compared(spec, FIRST, {"revision": "v1"}, MODELS) == wanted


def test_options_have_values_as_in_the_config() -> None:
    given = ["max_length=64", "quantize=int8", "thresholds={a: 0.5}", "multi_label=true", "truncate=", "x=a=b"]
    assert options_of(given, "--set") == {
        "max_length": 64,
        "quantize": "int8",
        "thresholds": {"a": 0.5},
        "multi_label": True,
        "truncate": None,
        "x": "a=b",
    }


def test_option_without_value_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"^--compare: 'b' is not KEY=VALUE"):
        compared("owner/name,b", FIRST, {}, {})
