"""The tasks of GLUE: where their texts and labels stand, and their own metrics, as run_glue names them."""

from collections.abc import Sequence
from typing import NamedTuple

from labelstream.workers.errors import EvaluationError
from labelstream.workers.evaluation.metrics.measurement import Measurement
from labelstream.workers.evaluation.predictions import Kind, Predictions

_NLI = ("entailment", "neutral", "contradiction")
_TWO_WAY = ("entailment", "not_entailment")


class GlueTask(NamedTuple):
    """`fields`: names of text, pair and label in the data set of the hub, and in GLUE's own files.

    `labels`: in the order of GLUE's label numbers; empty for regression. `metrics`: without the prefix eval_.
    """

    name: str
    fields: tuple[tuple[str, str | None, str], ...]
    labels: tuple[str, ...]
    metrics: tuple[str, ...] = ("accuracy",)
    suffix: str = ""


def _pair(first: str, second: str, *labels: str) -> tuple[tuple[str, str | None, str], ...]:
    return tuple((first, second, label) for label in ("label", *labels))


_SENTENCES = _pair("sentence1", "sentence2")
_MNLI = (*_pair("premise", "hypothesis"), *_pair("sentence1", "sentence2", "gold_label"))
TASKS = {
    task.name: task
    for task in (
        GlueTask("cola", (("sentence", None, "label"),), ("unacceptable", "acceptable"), ("matthews_correlation",)),
        GlueTask("mnli", _MNLI, _NLI),
        GlueTask("mnli-mm", _MNLI, _NLI, suffix="_mm"),
        GlueTask(
            "mrpc",
            (*_SENTENCES, ("#1 String", "#2 String", "Quality")),
            ("not_equivalent", "equivalent"),
            ("accuracy", "f1"),
        ),
        GlueTask("qnli", _pair("question", "sentence"), _TWO_WAY),
        GlueTask(
            "qqp",
            _pair("question1", "question2", "is_duplicate"),
            ("not_duplicate", "duplicate"),
            ("accuracy", "f1"),
        ),
        GlueTask("rte", _SENTENCES, _TWO_WAY),
        GlueTask("sst2", (("sentence", None, "label"),), ("negative", "positive")),
        GlueTask("stsb", _pair("sentence1", "sentence2", "score"), (), ("pearson", "spearmanr")),
        GlueTask("wnli", _SENTENCES, ("not_entailment", "entailment")),
    )
}
_ALIASES = {"sst-2": "sst2", "sts-b": "stsb", "mnli-m": "mnli", "mnli_matched": "mnli", "mnli_mismatched": "mnli-mm"}


def glue_task(name: str) -> GlueTask:
    """Raises EvaluationError, which lists the tasks."""
    lower = name.lower()
    found = TASKS.get(_ALIASES.get(lower, lower))
    if found is None:
        raise EvaluationError(f"--glue: unknown task {name!r}; give one of {', '.join(TASKS)}")
    return found


def label_map(task: GlueTask, labels: Sequence[str]) -> dict[str, str]:
    """GLUE's label numbers -> `labels` of the model, by run_glue's rule: by name if all names agree, else by number.

    Raises EvaluationError if the numbers of labels differ.
    """
    if not task.labels:
        return {}
    if len(labels) != len(task.labels):
        raise EvaluationError(
            f"--glue {task.name}: the task has {len(task.labels)} labels ({', '.join(task.labels)}), and the model "
            f"{len(labels)} ({', '.join(labels[:5])}); give a model of this task"
        )
    by_name = _by_name(labels)
    in_order = [by_name[name] for name in task.labels] if set(by_name) == set(task.labels) else list(labels)
    return {
        key: label for i, (name, label) in enumerate(zip(task.labels, in_order, strict=True)) for key in (str(i), name)
    }


def by_number(task: GlueTask, labels: Sequence[str]) -> dict[int, str]:
    """GLUE's label numbers -> `labels` of the model where the numbers decide, because the names differ; else empty."""
    return {} if set(_by_name(labels)) == set(task.labels) or not task.labels else dict(enumerate(labels))


def _by_name(labels: Sequence[str]) -> dict[str, str]:
    return {label.casefold().replace("-", "_"): label for label in labels}


def add_glue(measured: Measurement, predictions: Predictions, task: GlueTask) -> None:
    """Add GLUE's own metrics to `measured`: f1 is of the label 1, combined_score the mean of two metrics.

    Raises EvaluationError if the model is of another kind than the task.
    """
    wanted = Kind.SINGLE_LABEL if task.labels else Kind.REGRESSION
    if predictions.kind is not wanted:
        raise EvaluationError(
            f"--glue {task.name} needs {wanted.value}, and the model is for {predictions.kind.value}; give a model of "
            f"this task, or --set problem_type={wanted.value}"
        )
    if "f1" in task.metrics:
        positive = predictions.labels.index(label_map(task, predictions.labels)["1"])
        measured.add("f1", measured.per_label[positive].f1)
    if len(task.metrics) > 1:
        values = [measured.values.get(f"eval_{name}") for name in task.metrics]
        known = [value for value in values if value is not None]
        combined = sum(known) / len(known) if len(known) == len(values) else None
        measured.add("combined_score", combined, f"{' or '.join(task.metrics)} is undefined")
