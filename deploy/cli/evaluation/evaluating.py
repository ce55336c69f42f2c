"""Has each candidate model answer the examples in this process, and measures what it says."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import reduce
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from labelstream.deploy.cli.common.console import announced, err
from labelstream.deploy.cli.evaluation.candidates import Candidate
from labelstream.deploy.cli.evaluation.options import pairs_of
from labelstream.deploy.cli.evaluation.results import Evaluated, Results
from labelstream.workers.evaluation.comparison import compare
from labelstream.workers.evaluation.examples import Examples, duplicates_of
from labelstream.workers.evaluation.inference import Outcome, kind_of, labels_of, predict
from labelstream.workers.evaluation.metrics.glue import GlueTask, by_number, label_map
from labelstream.workers.evaluation.metrics.measure import measure


class Plan(NamedTuple):
    """What to measure. `data`: name of the file or topic. `label_map`: items DATA=MODEL."""

    data: str
    label_map: Sequence[str]
    task: GlueTask | None
    resamples: int
    seed: int


class _Answered(NamedTuple):
    candidate: Candidate
    revision: str
    dtype: str
    device: str
    outcome: Outcome


def evaluate_all(candidates: Sequence[Candidate], examples: Examples, plan: Plan) -> Results:
    """Evaluate one model after the other. Texts that one of them refuses are left out for all.

    Raises ModelError if a model cannot be loaded, EvaluationError if the examples do not fit one.
    """
    answered = [_answer(candidate, examples, plan) for candidate in candidates]
    rows: NDArray[np.int64] = reduce(np.intersect1d, (one.outcome.rows for one in answered))
    places = [examples.places[row] for row in map(int, rows)]
    models = []
    for one in answered:
        predictions = one.outcome.predictions
        if len(rows) < len(predictions):
            predictions = predictions.subset(np.isin(one.outcome.rows, rows))
        measured = measure(predictions, plan.task, plan.resamples, plan.seed)
        models.append(
            Evaluated(
                one.candidate,
                one.revision,
                one.dtype,
                one.device,
                predictions,
                measured,
                places,
                one.outcome.by_number,
            )
        )
    first = models[0].predictions
    refused = {row: why for one in answered for row, why in one.outcome.refused.items()}
    return Results(
        data=plan.data,
        left_out=[*examples.left_out, *(f"{examples.places[row]}: {why}" for row, why in sorted(refused.items()))],
        duplicates=duplicates_of(first.texts, first.gold.tolist()),
        models=models,
        comparisons=[compare(first, other.predictions) for other in models[1:]],
    )


def _answer(candidate: Candidate, examples: Examples, plan: Plan) -> _Answered:
    from labelstream.workers.engine.engine import Engine
    from labelstream.workers.engine.loading.device import name_of

    options = dict(candidate.options)
    if plan.task is not None and not plan.task.labels:
        options.setdefault("problem_type", "regression")
    with announced(f"loading {candidate.name}"):
        loaded = Engine.load(candidate.source, **{**options, "top_k": None, "scores_order": "score"})
    with loaded as engine, _progress(len(examples.texts), candidate.name) as advance:
        kind_of(engine.description)
        labels = pairs_of(plan.label_map, labels_of(engine.description))
        if plan.task is not None:
            labels = label_map(plan.task, engine.description.labels) | labels
        outcome = predict(engine, candidate.name, examples, labels, advance)
        if plan.task is not None:
            outcome = outcome._replace(by_number=by_number(plan.task, engine.description.labels))
        return _Answered(candidate, engine.description.revision, name_of(engine.dtype), str(engine.device), outcome)


@contextmanager
def _progress(texts: int, name: str) -> Iterator[Callable[[int], object]]:
    """A progress bar on a terminal. Yields the function that counts answered texts."""
    console = err()
    if not console.is_terminal:
        yield lambda answered: None
        return
    from rich.progress import Progress

    with Progress(console=console, transient=True) as progress:
        task = progress.add_task(name, total=texts)
        yield lambda answered: progress.update(task, advance=answered)
