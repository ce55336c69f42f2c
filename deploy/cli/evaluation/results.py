"""What one evaluation found, and its form as JSON."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, NamedTuple

from labelstream.deploy.cli.common.console import plural
from labelstream.deploy.cli.evaluation.candidates import Candidate

if TYPE_CHECKING:
    from labelstream.workers.evaluation.comparison import Comparison
    from labelstream.workers.evaluation.examples import Duplicates
    from labelstream.workers.evaluation.metrics.measurement import Measurement
    from labelstream.workers.evaluation.predictions import Predictions

MAX_NUMBERS = 10  # labels in the remark on labels by number


class Evaluated(NamedTuple):
    """One model and what it does. `places`: of the texts, in the order of `predictions`.

    `by_number`: labels that the data names by number, by that number.
    """

    candidate: Candidate
    revision: str
    dtype: str
    device: str
    predictions: "Predictions"
    measured: "Measurement"
    places: Sequence[str]
    by_number: Mapping[int, str] = {}


class Results(NamedTuple):
    """`data`: name of the file or topic. `left_out`: place and reason of each text without an answer.

    `comparisons`: of the first model with each other one.
    """

    data: str
    left_out: Sequence[str]
    duplicates: "Duplicates"
    models: Sequence[Evaluated]
    comparisons: Sequence["Comparison"]


def data_remarks(results: Results) -> Iterator[str]:
    """What a reader must know of the data: labels by number, texts more than once, and texts that were left out."""
    for numbers, names in _numbered(results.models).items():
        whose = f" of {', '.join(names)}" if len(results.models) > 1 else ""
        yield f"labels matched by number{whose}: {numbers}; --label-map changes that"
    twice, left_out = results.duplicates, results.left_out
    if twice.texts:
        more = f", {twice.contradicting:,} of them with different labels" if twice.contradicting else ""
        yield f"{plural(f'{twice.texts:,}', 'text')} more than once, in {twice.rows:,} rows{more}"
    if left_out:
        yield f"{plural(f'{len(left_out):,}', 'text')} left out; the first: {left_out[0]}"


def _numbered(models: Sequence[Evaluated]) -> dict[str, list[str]]:
    """The labels that the data names by number, as text, and the models that have these labels."""
    found: dict[str, list[str]] = {}
    for one in models:
        shown = [f"{number} = {label}" for number, label in one.by_number.items()]
        more = f" and {len(shown) - MAX_NUMBERS} more" if len(shown) > MAX_NUMBERS else ""
        if shown:
            found.setdefault(", ".join(shown[:MAX_NUMBERS]) + more, []).append(one.candidate.name)
    return found


def as_tree(results: Results) -> dict[str, Any]:
    """The content of --json."""
    first = results.models[0].predictions
    data = {
        "source": results.data,
        "texts": len(first),
        "truncated": int(first.truncated.sum()),
        "left_out": list(results.left_out),
        "duplicates": results.duplicates._asdict(),
    }
    models = [_model(one) for one in results.models]
    tree: dict[str, Any] = {"data": data, "models": models}
    if results.comparisons:
        tree["comparisons"] = list(_comparisons(results))
    return tree


def prediction_lines(one: Evaluated) -> Iterator[str]:
    """The lines of --predictions: one JSON object per text."""
    from labelstream.workers.evaluation.comparison import predicted_labels, true_labels
    from labelstream.workers.evaluation.predictions import Kind

    predictions = one.predictions
    of_label = predictions.kind is not Kind.REGRESSION
    columns = (one.places, predictions.texts, true_labels(predictions), predicted_labels(predictions))
    rows = zip(*columns, predictions.scores.tolist(), predictions.truncated.tolist(), strict=True)
    for row, (place, (text, pair), gold, label, scores, truncated) in enumerate(rows):
        line: dict[str, Any] = {"place": place, "model": predictions.model, "text": text}
        line |= {"text_pair": pair} if pair is not None else {}
        line |= {"gold": gold, "label": label} if of_label else {"gold": gold, "score": scores}
        if of_label:
            line["scores"] = dict(zip(predictions.labels, scores, strict=True))
        if predictions.accepted is not None:
            accepted = predictions.accepted[row].tolist()
            line["accepted"] = [name for name, has in zip(predictions.labels, accepted, strict=True) if has]
        yield json.dumps({**line, "truncated": truncated}) + "\n"


def _model(one: Evaluated) -> dict[str, Any]:
    predictions, measured = one.predictions, one.measured
    tree: dict[str, Any] = {
        "model": one.candidate.name,
        "source": one.candidate.source,
        "revision": one.revision,
        "options": {key: _plain(value) for key, value in one.candidate.options.items()},
        "dtype": one.dtype,
        "device": one.device,
        "task": predictions.task.value,
        "problem_type": predictions.kind.value,
        "labels": list(predictions.labels),
        "labels_by_number": {str(number): label for number, label in one.by_number.items()},
        "truncated": int(predictions.truncated.sum()),
        "metrics": measured.values,
        "intervals": measured.intervals,
        "undefined": measured.undefined,
        "notes": measured.notes,
        "per_label": [asdict(label) for label in measured.per_label],
    }
    if measured.confusion is not None:
        tree["confusion_matrix"] = measured.confusion.tolist()
    return tree


def _plain(value: Any) -> Any:
    return value if isinstance(value, bool | int | float | str | list | tuple | dict | None) else str(value)


def _comparisons(results: Results) -> Iterator[dict[str, Any]]:
    first = results.models[0]
    for other, comparison in zip(results.models[1:], results.comparisons, strict=True):
        yield {
            "first": first.candidate.name,
            "second": other.candidate.name,
            "only_first_right": comparison.only_first,
            "only_second_right": comparison.only_second,
            "mcnemar_p_value": comparison.p_value,
            "differ": [difference._asdict() for difference in differences(first, other, comparison)],
        }


class Difference(NamedTuple):
    """A text for which two models give different labels."""

    place: str
    text: str
    text_pair: str | None
    gold: object
    first: object
    second: object


def differences(first: Evaluated, second: Evaluated, comparison: "Comparison") -> Iterator[Difference]:
    from labelstream.workers.evaluation.comparison import predicted_labels, true_labels

    gold = true_labels(first.predictions)
    ours, theirs = predicted_labels(first.predictions), predicted_labels(second.predictions)
    for row in map(int, comparison.differ):
        text, pair = first.predictions.texts[row]
        yield Difference(first.places[row], text, pair, gold[row], ours[row], theirs[row])
