"""`labelstream classify`: classifies with the engine in this process, without Kafka and Ray."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer

from labelstream.deploy.cli.common.arguments import DEMO_MODEL, ModelSource
from labelstream.deploy.cli.common.console import announced, say
from labelstream.deploy.cli.models.answer_texts import (
    Ask,
    Input,
    Json,
    Labels,
    Output,
    Template,
    TextField,
    TextOptions,
    Texts,
    TopK,
    answer_texts,
    check_template,
)
from labelstream.workers.errors import ConfigError


def classify(
    texts: Texts = None,
    input: Input = None,
    text_field: TextField = None,
    output: Output = None,
    model: ModelSource = None,
    revision: Annotated[
        str | None, typer.Option(metavar="REVISION", help="Commit, tag or branch of the hub model.")
    ] = None,
    label: Labels = None,
    template: Template = None,
    task: Annotated[
        str | None,
        typer.Option(
            "--task", metavar="TASK", help="Task of the model: fill-mask, or feature-extraction for embeddings."
        ),
    ] = None,
    top_k: TopK = 1,
    json: Json = False,
) -> None:
    """Classify texts in this process, without Kafka and Ray.

    Without TEXT and --input, the lines of stdin are the texts. Blank lines are skipped. Exit code 1: at least one text
    has no answer. The other texts are answered.
    """
    from labelstream.workers.classifier import Request

    options = TextOptions(texts, input, text_field, output, json)
    options.check()
    if model is None and revision is not None:
        raise ConfigError("--revision", "is for a model of the hub", "add --model")
    check_template(template, label)
    if task is not None and (label or model is None):
        raise ConfigError("--task", "needs a model for this task, and no labels", "add --model, and leave out --label")
    of_task: dict[str, Any] = _zero_shot(label, template) if label else {} if task is None else {"task": task}
    answer_texts(options, lambda: _engine(model, revision, top_k, of_task), Request("", top_k=top_k))


@contextmanager
def _engine(model: str | None, revision: str | None, top_k: int, options: dict[str, Any]) -> Iterator[Ask]:
    name = model or "the demo's small sentiment model"
    with announced(f"loading {name}"):
        from labelstream.workers.engine.engine import Engine
        from labelstream.workers.engine.loading.device import name_of

        loaded = Engine.load(model or str(DEMO_MODEL), revision=revision, top_k=top_k, **options)
    with loaded as engine:
        say(f"model: {name}, revision {engine.description.revision}, {name_of(engine.dtype)} on {engine.device}")
        yield engine.classify


def _zero_shot(labels: list[str], template: str | None) -> dict[str, Any]:
    options: dict[str, Any] = {"task": "zero-shot-classification", "candidate_labels": tuple(labels)}
    return options if template is None else options | {"hypothesis_template": template}
