"""What was fitted, as keys of a config file."""

from typing import Any

import yaml

from labelstream.workers.evaluation.fitting.fit import fit
from labelstream.workers.evaluation.fitting.fragment import comments_of, config_text, fitted_keys
from labelstream.workers.evaluation.fitting.targets import Metric, Target
from labelstream.workers.settings.model import ModelSettings
from tests.support.made_predictions import made_predictions


def test_keys_are_those_of_a_models_settings() -> None:
    fitted = fit(made_predictions(n=2_000), True, Target(Metric.PRECISION, 0.8))
    keys = fitted_keys(fitted, own_temperature=2.0)
    assert fitted.temperature is not None
    assert keys == {"temperature": round(fitted.temperature * 2, 3), "thresholds": fitted.by_label}
    settings = ModelSettings(source="m", **keys)
    assert settings.thresholds == fitted.by_label
    assert fitted_keys(fit(made_predictions(), False, None)) == {}


def test_text_is_yaml_with_its_reasons() -> None:
    fitted = fit(made_predictions(n=2_000), True, Target(Metric.PRECISION, 0.8))
    tree: dict[str, Any] = {
        "models": {"m": {"source": "m", **fitted_keys(fitted), "label_names": {"\u00e9": "#\n: x"}}}
    }
    text = config_text(tree, [*comments_of(fitted, "m\nmodels: {}"), "one\nline"])
    assert yaml.safe_load(text) == tree
    lines = text.splitlines()
    assert lines[0].startswith("# Fitted for m models: {} on ")
    assert "# one line" in lines
    assert any(line.startswith("# Expected calibration error: 0.") for line in lines)
    assert any(line.startswith("# precision=0.8: the model abstains from ") for line in lines)


def test_comments_name_labels_without_a_threshold() -> None:
    fitted = fit(made_predictions(n=300, scale=1.5), False, Target(Metric.PRECISION, 0.7))
    missing = [one for one in fitted.thresholds if one.threshold is None]
    assert missing
    found = [line for line in comments_of(fitted, "m") if line.startswith("No threshold for ")]
    assert found == [f"No threshold for {one.label}: {one.problem}." for one in missing]
