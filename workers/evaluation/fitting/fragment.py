"""Writes what was fitted as the keys of a model in a config file."""

from collections.abc import Mapping
from typing import Any

import yaml

from labelstream.workers.evaluation.fitting.fit import Fitted


def fitted_keys(fitted: Fitted, own_temperature: float = 1.0) -> dict[str, Any]:
    """The keys `temperature` and `thresholds`. `own_temperature`: with which the predictions were made."""
    keys: dict[str, Any] = {}
    if fitted.temperature is not None:
        keys["temperature"] = round(fitted.temperature * own_temperature, 3)
    if fitted.by_label:
        keys["thresholds"] = fitted.by_label
    return keys


def config_text(tree: Mapping[str, Any], comments: list[str]) -> str:
    """`tree` as YAML below `comments`, one a line."""
    lines = [f"# {' '.join(line.split())}\n" for line in comments]
    return "".join(lines) + yaml.safe_dump(dict(tree), sort_keys=False, allow_unicode=True, width=1_000)


def comments_of(fitted: Fitted, model: str) -> list[str]:
    """What the fragment promises, and for which labels it has no threshold."""
    texts, judged = len(fitted.fitting), int((~fitted.fitting).sum())
    lines = [f"Fitted for {model} on {texts - judged:,} texts, judged on {judged:,} others."]
    if fitted.temperature is not None and fitted.after is not None:
        lines.append(f"Expected calibration error: {fitted.before.ece:.3f} before, {fitted.after.ece:.3f} after.")
    if fitted.outcome is not None and fitted.outcome.abstained.share is not None:
        low, high = fitted.outcome.abstained.interval
        lines.append(
            f"{fitted.target}: the model abstains from {fitted.outcome.abstained.share:.1%} of such texts"
            f" ({low:.1%} to {high:.1%})."
        )
    lines += [f"No threshold for {one.label}: {one.problem}." for one in fitted.thresholds if one.threshold is None]
    return lines
