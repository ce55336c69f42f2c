"""--calibrate, --target and --write-config: fits values for one model, shows them, and writes them as a config."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from labelstream.deploy.cli.common.console import escape, out
from labelstream.workers.errors import ConfigError

if TYPE_CHECKING:
    from labelstream.deploy.cli.evaluation.candidates import Candidate
    from labelstream.workers.evaluation.fitting.fit import Fitted
    from labelstream.workers.evaluation.fitting.outcome import Proportion
    from labelstream.workers.evaluation.fitting.targets import Target
    from labelstream.workers.evaluation.predictions import Predictions

_LABEL_WIDTH = 20


class Wish(NamedTuple):
    """What to fit. `target`: None for no thresholds."""

    calibrate: bool
    target: "Target | None"

    @property
    def is_any(self) -> bool:
        return self.calibrate or self.target is not None


def wish_of(
    calibrate: bool, target: str | None, write_config: Path | None, several: bool, options: Mapping[str, Any]
) -> Wish:
    """`several`: whether more than one model is evaluated. `options`: of the model. Raises ConfigError."""
    from labelstream.workers.evaluation.fitting.targets import parse_target

    wish = Wish(calibrate, None if target is None else parse_target(target))
    if write_config is not None and not wish.is_any:
        raise ConfigError("--write-config", "has nothing to write", "add --calibrate or --target")
    older = next((key for key in ("thresholds", "threshold") if options.get(key)), None)
    if write_config is not None and target is None and older is not None:
        problem = f"{older} of the model belongs to another temperature"
        raise ConfigError("--write-config", problem, "add --target to choose new thresholds")
    if wish.is_any and several:
        raise ConfigError("--calibrate" if calibrate else "--target", "is for one model", "leave out --compare")
    return wish


def fit_wish(predictions: "Predictions", wish: Wish) -> "Fitted | None":
    """None if nothing is wished. Raises EvaluationError if there are too few texts."""
    from labelstream.workers.evaluation.fitting.fit import fit

    return fit(predictions, wish.calibrate, wish.target) if wish.is_any else None


def show_fitted(fitted: "Fitted") -> None:
    """Print what was fitted, and its figures on the judged half."""
    from labelstream.deploy.cli.evaluation.view import first_cell, table_of

    console = out()
    for line in _sentences(fitted):
        console.print(escape(line), soft_wrap=True)
    if fitted.outcome is None:
        return
    names = ("threshold", "accepted", "precision", "recall", "F1", "coverage")
    table = table_of("label", *((name, "right") for name in names))
    for chosen, found in zip(fitted.thresholds, fitted.outcome.labels, strict=True):
        shares = (found.precision.share, found.recall.share, found.f1, found.coverage.share)
        table.add_row(
            first_cell(found.label, _LABEL_WIDTH),
            "-" if chosen.threshold is None else f"{chosen.threshold:g}",
            f"{found.precision.total:,}",
            *("-" if share is None else f"{share:.4f}" for share in shares),
        )
    console.print(table)


def fitted_tree(fitted: "Fitted", keys: Mapping[str, Any]) -> dict[str, Any]:
    """The content of `fitted` in --json."""
    judged = ~fitted.fitting
    tree: dict[str, Any] = {
        "texts": {"fitted": int(fitted.fitting.sum()), "judged": int(judged.sum()), "near_duplicates": fitted.near},
        "keys": dict(keys),
        "calibration": _calibration(fitted.before),
    }
    if fitted.after is not None:
        tree["calibration_after"] = _calibration(fitted.after)
    if fitted.outcome is None:
        return tree
    tree["target"] = str(fitted.target)
    tree["abstained"], tree["right"] = _share(fitted.outcome.abstained), _share(fitted.outcome.right)
    tree["per_label"] = [
        {
            **{key: getattr(chosen, key) for key in ("label", "threshold", "reached", "problem")},
            **{key: _share(getattr(found, key)) for key in ("precision", "recall", "coverage")},
            "f1": found.f1,
        }
        for chosen, found in zip(fitted.thresholds, fitted.outcome.labels, strict=True)
    ]
    return tree


def keys_of(fitted: "Fitted", candidate: "Candidate") -> dict[str, Any]:
    """The keys of the model in a config: `temperature` and `thresholds`."""
    from labelstream.workers.evaluation.fitting.fragment import fitted_keys

    return fitted_keys(fitted, candidate.options.get("temperature") or 1.0)


def written_config(fitted: "Fitted", candidate: "Candidate", config: Path | None) -> str:
    """The config of `config` with the fitted keys; without `config` the section of the model alone."""
    from labelstream.workers.config_file import read_config_file
    from labelstream.workers.engine.options import ModelOptions
    from labelstream.workers.evaluation.fitting.fragment import comments_of, config_text

    keys = keys_of(fitted, candidate)
    tree: dict[str, Any] = {} if config is None else read_config_file(config)
    models = tree.setdefault("models", {})
    comments = comments_of(fitted, candidate.name)
    if config is not None and candidate.name in models:
        section, kept = models[candidate.name], candidate.given
    else:
        source, kept = candidate.source, candidate.options
        path = Path(source)
        section = models[model_key(source)] = {"source": str(path.absolute()) if path.exists() else source}
        if config is None:
            comments.append("Add kafka and pipelines, or copy the keys of the model into your config.")
    used = {key: value for key, value in candidate.options.items() if key in ModelOptions.model_fields}
    section |= ModelOptions(**used).model_dump(mode="json", include=used.keys() & kept.keys())
    for older in ("threshold", "thresholds") if fitted.target is not None else ():
        section.pop(older, None)
    section |= keys
    return config_text(tree, comments)


def model_key(source: str) -> str:
    """A name for a model in a config, from the last part of its source."""
    name = re.sub(r"[^a-z0-9]+", "-", Path(source).name.lower()).strip("-")[:50].strip("-")
    return name or "model"


def _sentences(fitted: "Fitted") -> Iterator[str]:
    judged = int((~fitted.fitting).sum())
    yield f"fitted on {len(fitted.fitting) - judged:,} texts, judged on {judged:,} others"
    if fitted.near:
        yield f"{fitted.near:,} of the judged texts share 60% of their words with a fitted text"
    before, after = fitted.before, fitted.after
    if after is not None:
        yield (
            f"temperature {fitted.temperature:g}: calibration error {before.ece:.3f} -> {after.ece:.3f}, "
            f"log loss {before.loss:.3f} -> {after.loss:.3f}"
        )
    if fitted.outcome is not None:
        abstained, right = fitted.outcome.abstained, fitted.outcome.right
        yield (
            f"{fitted.target}: the model abstains from {abstained.part:,} of {abstained.total:,} texts"
            f"{_said(abstained)}"
        )
        yield f"right are {right.part:,} of {right.total:,} accepted texts{_said(right)}"
    for one in fitted.thresholds:
        if one.threshold is None:
            yield f"no threshold for {one.label}: {one.problem}"


def _said(one: "Proportion") -> str:
    low, high = one.interval
    return "" if one.share is None else f", {one.share:.1%} ({low:.1%} to {high:.1%})"


def _share(one: "Proportion") -> dict[str, Any]:
    return {"number": one.part, "of": one.total, "share": one.share, "interval": list(one.interval)}


def _calibration(found: Any) -> dict[str, Any]:
    return {
        "expected_calibration_error": found.ece,
        "log_loss": found.loss,
        "mean_score": found.confidence,
        "accuracy": found.accuracy,
        "bins": [one._asdict() for one in found.bins],
    }
