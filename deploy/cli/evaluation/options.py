"""Options of `labelstream evaluate`, and what their texts mean."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from labelstream.workers.errors import ConfigError

Data = Annotated[
    str | None,
    typer.Argument(
        metavar="DATA",
        help="File with labeled texts: JSON lines, .csv, .tsv or .parquet; also .gz and .zst, and - for stdin.",
    ),
]
Model = Annotated[
    str | None,
    typer.Option(
        "--model",
        "-m",
        metavar="SOURCE",
        help="The model: a directory, an id of the Hugging Face hub, or a model of the config. Default: the config's "
        "model, else the demo's.",
    ),
]
Revision = Annotated[str | None, typer.Option(metavar="REVISION", help="Commit, tag or branch of the hub model.")]
Topic = Annotated[
    str | None, typer.Option(metavar="NAME", help="Read the records of this topic instead of a file, up to its end.")
]
Config = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-c",
        metavar="FILE",
        help="Config file (YAML): its models with their options, and how to connect for --topic.",
    ),
]
TextField = Annotated[
    str | None, typer.Option(metavar="NAME", help="Column or JSON field, such as review.body. Default: text.")
]
TextPairField = Annotated[
    str | None, typer.Option(metavar="NAME", help="The same for the second text. Default: text_pair, if there is one.")
]
LabelField = Annotated[
    str | None, typer.Option(metavar="NAME", help="The same for the true label, or list of labels. Default: label.")
]
LabelMap = Annotated[
    list[str] | None,
    typer.Option(metavar="DATA=MODEL", help="Label of the data, and the model's name for it. Repeatable."),
]
CandidateLabels = Annotated[
    str | None, typer.Option("--labels", metavar="A,B,...", help="Candidate labels for zero-shot with an NLI model.")
]
MultiLabel = Annotated[bool, typer.Option("--multi-label", help="For zero-shot: a text may have several labels.")]
Glue = Annotated[
    str | None,
    typer.Option(
        metavar="TASK",
        help="GLUE's own metrics, fields and label numbers: cola, mnli, mnli-mm, mrpc, qnli, qqp, rte, sst2, stsb "
        "or wnli.",
    ),
]
Dtype = Annotated[str | None, typer.Option(metavar="DTYPE", help="auto, float32, bfloat16 or float16.")]
Backend = Annotated[str | None, typer.Option(metavar="BACKEND", help="auto, torch or openvino.")]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="An option of the model as in the config, such as long_text=windows. Repeatable.",
    ),
]
Compare = Annotated[
    list[str] | None,
    typer.Option(
        metavar="MODEL,KEY=VALUE",
        help="Another model, or options of the same model, such as dtype=bfloat16, to compare with. Repeatable.",
    ),
]
JsonFile = Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write all results to this file.")]
PredictionsFile = Annotated[
    Path | None,
    typer.Option(
        "--predictions",
        metavar="FILE",
        help="Write a JSON line per text: true and predicted label, scores, truncated.",
    ),
]
Calibrate = Annotated[
    bool,
    typer.Option("--calibrate", help="Fit a temperature on half of the texts, and show its effect on the other half."),
]
TargetOption = Annotated[
    str | None,
    typer.Option(
        "--target",
        metavar="METRIC=VALUE",
        help="Choose a threshold per label on half of the texts, and judge it on the other half: precision=0.95, or "
        "recall, f1 or coverage.",
    ),
]
WriteConfig = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Write a config with the fitted temperature and thresholds: that of --config, else the model's section.",
    ),
]
ReportFile = Annotated[
    Path | None,
    typer.Option(metavar="FILE.html", help="Write a page with plots: one file, without content from elsewhere."),
]
FailUnder = Annotated[
    list[str] | None,
    typer.Option(metavar="METRIC=NUMBER", help="Exit code 1 if the metric is lower. Repeatable."),
]
FailOver = Annotated[
    list[str] | None,
    typer.Option(metavar="METRIC=NUMBER", help="Exit code 1 if the metric is higher, for loss or rmse. Repeatable."),
]
Resamples = Annotated[
    int, typer.Option(min=0, metavar="NUMBER", help="Resamples of the bootstrap for 95% intervals; 0: no intervals.")
]
Seed = Annotated[int, typer.Option(min=0, metavar="NUMBER", help="Seed of the bootstrap.")]


def split_labels(labels: str | None) -> list[str]:
    """The labels of --labels A,B,..."""
    return [label.strip() for label in (labels or "").split(",") if label.strip()]


def zero_shot_options(labels: Sequence[str], template: str | None, multi_label: bool) -> dict[str, Any]:
    """The model options of zero-shot classification; empty without labels. Raises ConfigError."""
    if not labels:
        for option, is_given in (("--template", template is not None), ("--multi-label", multi_label)):
            if is_given:
                raise ConfigError(option, "is for zero-shot", "add labels with --labels")
        return {}
    options: dict[str, Any] = {"task": "zero-shot-classification", "candidate_labels": tuple(labels)}
    options |= {"multi_label": True} if multi_label else {}
    return options if template is None else options | {"hypothesis_template": template}


def check_pairs(label_map: Sequence[str]) -> None:
    """Raises ConfigError if an item is not DATA=MODEL."""
    wrong = next((pair for pair in label_map if not _splits(pair)), None)
    if wrong is not None:
        raise ConfigError("--label-map", f"{wrong!r} is not DATA=MODEL", "for example pos=POSITIVE")


def pairs_of(label_map: Sequence[str], labels: Sequence[str]) -> dict[str, str]:
    """Label of the data -> label of the model, which has `labels`. Both may contain the sign: the model's label decides
    at which one an item is split, else the last one.

    Raises ConfigError.
    """
    found: dict[str, str] = {}
    for pair in label_map:
        splits = _splits(pair)
        possible = [split for split in splits if split[1] in labels]
        if len(possible) > 1:
            meanings = " or ".join(f"{ours!r} to {theirs!r}" for ours, theirs in possible)
            problem = f"{pair!r} may map {meanings}"
            raise ConfigError("--label-map", problem, "rename a label of the model with --set label_names")
        ours, theirs = possible[0] if possible else splits[-1]
        if found.setdefault(ours, theirs) != theirs:
            raise ConfigError(
                "--label-map", f"{ours!r} has two labels of the model", "give each label of the data once"
            )
    return found


def _splits(pair: str) -> list[tuple[str, str]]:
    """Both parts of `pair` for each sign = that has a part on each side."""
    parts = pair.split("=")
    both = [("=".join(parts[:at]).strip(), "=".join(parts[at:]).strip()) for at in range(1, len(parts))]
    return [split for split in both if all(split)]


def check_outputs(outputs: Sequence[tuple[Path | None, str]], data: str | None) -> None:
    """Raises ConfigError naming the option if one file would replace another one, or the labeled texts.

    `outputs`: path and option. Devices and pipes, such as /dev/null, may be shared.
    """
    used = {} if data is None else {Path(data).resolve(): "DATA"}
    for path, option in outputs:
        if path is None or (path.exists() and not path.is_file()):
            continue
        other = used.setdefault(path.resolve(), option)
        if other != option:
            raise ConfigError(option, f"{path} is the file of {other} as well", "give another file")
