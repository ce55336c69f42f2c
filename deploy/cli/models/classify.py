"""`labelstream classify`: the engine alone, without Kafka and Ray."""

import json as json_module
import sys
from codecs import BOM_UTF8
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Annotated, Any

import typer

from labelstream.deploy.cli.common.arguments import DEMO_MODEL
from labelstream.deploy.cli.common.console import escape, out, say
from labelstream.workers.errors import ConfigError

LINES_PER_CALL = 256


def classify(
    texts: Annotated[
        list[str] | None, typer.Argument(metavar="[TEXT...|-]", help="Texts; - reads stdin's lines.")
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            "-m",
            metavar="SOURCE",
            help="A directory, or a model of the hub. Default: the small sentiment model of the demo.",
        ),
    ] = None,
    revision: Annotated[str | None, typer.Option(help="A commit, tag or branch of the hub's model.")] = None,
    label: Annotated[
        list[str] | None,
        typer.Option("--label", "-l", help="A label to choose from, for zero-shot with an NLI model; repeatable."),
    ] = None,
    template: Annotated[
        str | None, typer.Option("--template", help="What a label is put into at its {}, for zero-shot.")
    ] = None,
    task: Annotated[
        str | None, typer.Option("--task", help="fill-mask, or feature-extraction for embeddings; the model must fit.")
    ] = None,
    top_k: Annotated[int, typer.Option("--top-k", "-k", min=1, help="Labels per text, best first.")] = 1,
    json: Annotated[bool, typer.Option("--json", help="One JSON object per text.")] = False,
) -> None:
    """Classify texts here and now, in this process.

    With `-`, or with nothing while stdin is no terminal, every line of stdin is a text; blank lines are left out.
    """
    given = texts or (["-"] if not sys.stdin.isatty() else [])
    if not given:
        raise ConfigError("TEXT", "is missing", "give texts, or - to read stdin's lines")
    if model is None and revision is not None:
        raise ConfigError("--revision", "belongs to a model of the hub", "give --model too")
    if template is not None and not label:
        raise ConfigError("--template", "belongs to zero-shot", "give labels with --label")
    if task is not None and (label or model is None):
        raise ConfigError("--task", "is for a model made for it, and labels mean zero-shot", "give --model, no --label")
    from labelstream.workers.engine.engine import Engine

    options: dict[str, Any] = _zero_shot(label, template) if label else {} if task is None else {"task": task}
    with Engine.load(model or str(DEMO_MODEL), revision=revision, top_k=top_k, **options) as engine:
        name = model or "the demo's small sentiment model"
        say(f"model: {name}, revision {engine.description.revision}")
        show = _show_json if json else _show_columns if out().is_terminal else _show_tabs
        for chunk in _chunks(_texts(given)):
            for text, answer in zip(chunk, engine.classify([_request(text, top_k) for text in chunk]), strict=True):
                show(text, answer)


def _zero_shot(labels: list[str], template: str | None) -> dict[str, Any]:
    options: dict[str, Any] = {"task": "zero-shot-classification", "candidate_labels": tuple(labels)}
    return options if template is None else options | {"hypothesis_template": template}


def _request(text: str, top_k: int) -> Any:
    from labelstream.workers.classifier import Request

    return Request(text, top_k=top_k)


def _texts(given: list[str]) -> Iterator[str]:
    for text in given:
        if text == "-":
            for line in sys.stdin.buffer:
                read = line.removeprefix(BOM_UTF8).decode("utf-8", "replace").rstrip("\r\n")
                if read.strip():
                    yield read
        else:
            yield text


def _chunks(texts: Iterable[str]) -> Iterator[list[str]]:
    """Full chunks from a pipe or file; line by line from a person who types."""
    iterator = iter(texts)
    size = 1 if sys.stdin.isatty() else LINES_PER_CALL
    while chunk := list(islice(iterator, size)):
        yield chunk


def _show_json(text: str, answer: Any) -> None:
    from labelstream.workers.classifier import Embedding, MaskFill, RecordError

    found: dict[str, Any]
    match answer:
        case RecordError():
            found = {"error": answer.fault.value, "message": answer.message}
        case MaskFill():
            found = {"masks": [[fill._asdict() for fill in fills] for fills in answer.masks]}
        case Embedding():
            found = {"embedding": answer.vector}
        case _:
            scores = [{"label": one, "score": score} for one, score in zip(answer.labels, answer.scores, strict=True)]
            found = {**scores[0], "scores": scores}
    if not isinstance(answer, RecordError):
        found |= {"tokens": answer.tokens, "truncated": answer.truncated}
    print(json_module.dumps({"text": text, **found}), flush=True)


def _labels(answer: Any) -> list[str]:
    from labelstream.workers.classifier import Embedding, MaskFill, RecordError

    match answer:
        case RecordError():
            return [f"! {answer.fault.value}"]
        case MaskFill():
            return [f"{fill.token} {fill.score:.4f}" for fills in answer.masks for fill in fills]
        case Embedding():
            return [f"{number:.6g}" for number in answer.vector]
        case _:
            return [f"{label} {score:.4f}" for label, score in zip(answer.labels, answer.scores, strict=True)]


def _show_columns(text: str, answer: Any) -> None:
    print("  ".join(f"{escape(label):<20}" for label in _labels(answer)) + f"  {escape(text)}", flush=True)


def _show_tabs(text: str, answer: Any) -> None:
    # Tabs and line breaks would be taken for ours.
    print("\t".join([*(escape(label) for label in _labels(answer)), escape(text)]), flush=True)
