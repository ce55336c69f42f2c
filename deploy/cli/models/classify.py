"""`labelstream classify`: classifies with the engine in this process, without Kafka and Ray."""

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from itertools import chain, islice
from pathlib import Path
from typing import Annotated, Any

import typer

from labelstream.deploy.cli.common.arguments import DEMO_MODEL
from labelstream.deploy.cli.common.console import announced, escape, out, plural, say, stops_on_signals
from labelstream.deploy.cli.common.progress import with_progress
from labelstream.deploy.cli.common.text_file import TextFile, open_text_file
from labelstream.deploy.cli.models import answers
from labelstream.deploy.cli.models.answer_file import Answered, answer_file
from labelstream.deploy.cli.models.texts import Text, of_argument, of_file, of_lines
from labelstream.workers.errors import ConfigError

TEXTS_PER_CALL = 256
Take = Callable[[Answered], None]


def classify(
    texts: Annotated[
        list[str] | None, typer.Argument(metavar="TEXT|-", help="Texts to classify; - reads lines from stdin.")
    ] = None,
    input: Annotated[
        str | None,
        typer.Option(
            "--input",
            "-i",
            metavar="FILE|-",
            help="File with texts: lines, JSON lines, .csv or .tsv; also compressed: .gz, .zst.",
        ),
    ] = None,
    text_field: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Column or JSON field with the text, such as event.message. Default: text."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="Write answers to this file, with all fields of --input: a table if it is a .csv, else JSON lines.",
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            "-m",
            metavar="SOURCE",
            help="The model: a directory, or an id of the Hugging Face hub. Default: the demo's model.",
        ),
    ] = None,
    revision: Annotated[
        str | None, typer.Option(metavar="REVISION", help="Commit, tag or branch of the hub model.")
    ] = None,
    label: Annotated[
        list[str] | None,
        typer.Option(
            "--label", "-l", metavar="LABEL", help="Candidate label for zero-shot with an NLI model. Repeatable."
        ),
    ] = None,
    template: Annotated[
        str | None,
        typer.Option("--template", metavar="TEXT", help="Hypothesis for zero-shot, with {} in place of the label."),
    ] = None,
    task: Annotated[
        str | None,
        typer.Option(
            "--task", metavar="TASK", help="Task of the model: fill-mask, or feature-extraction for embeddings."
        ),
    ] = None,
    top_k: Annotated[int, typer.Option("--top-k", "-k", min=1, help="Number of labels per text, best first.")] = 1,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object per text.")] = False,
) -> None:
    """Classify texts in this process, without Kafka and Ray.

    Without TEXT and --input, the lines of stdin are the texts. Blank lines are skipped. Exit code 1: at least one text
    has no answer. The other texts are answered.
    """
    if texts and input is not None:
        raise ConfigError("--input", "unexpected beside texts", "give one of the two")
    if not texts and input is None and sys.stdin.isatty():
        raise ConfigError("TEXT", "is missing", "give texts, a file with --input, or - to read lines from stdin")
    if text_field is not None and input is None:
        raise ConfigError(
            "--text-field", "names a column or field of a file", "add --input FILE, or --input - for stdin"
        )
    if text_field is not None and "[*]" in text_field:
        problem = f"{text_field} names a list, and each line has one text"
        raise ConfigError("--text-field", problem, "name one field, or run a pipeline with this place in fields.text")
    if model is None and revision is not None:
        raise ConfigError("--revision", "is for a model of the hub", "add --model")
    if template is not None and not label:
        raise ConfigError("--template", "is for zero-shot", "add labels with --label")
    if task is not None and (label or model is None):
        raise ConfigError("--task", "needs a model for this task, and no labels", "add --model, and leave out --label")
    options: dict[str, Any] = _zero_shot(label, template) if label else {} if task is None else {"task": task}
    source = open_text_file(input or "-") if input is not None or not texts or "-" in texts else nullcontext(None)
    with stops_on_signals(), source as file, _taker(output, json) as take:
        found = _texts(texts or ["-"], file, text_field, input is not None)
        if output is not None and file is not None:
            found = with_progress(file, found, "texts")
        failed, count = _classify(found, take, model, revision, top_k, options, file is not None and file.is_terminal)
    if output is not None:
        say(f"{plural(count - failed, 'text')} classified, written to {output}")
    if failed:
        say(f"{failed} of {plural(count, 'text')} could not be classified")
        raise typer.Exit(1)


def _classify(
    texts: Iterable[Text],
    take: Take,
    model: str | None,
    revision: str | None,
    top_k: int,
    options: dict[str, Any],
    one_by_one: bool,
) -> tuple[int, int]:
    """Returns the number of texts without an answer, and the number of all texts."""
    from labelstream.workers.classifier import RecordError

    failed = count = 0
    name = model or "the demo's small sentiment model"
    with announced(f"loading {name}"):
        from labelstream.workers.engine.engine import Engine

        loaded = Engine.load(model or str(DEMO_MODEL), revision=revision, top_k=top_k, **options)
    with loaded as engine:
        say(f"model: {name}, revision {engine.description.revision}")
        for chunk in _chunks(texts, 1 if one_by_one else TEXTS_PER_CALL):
            answered = _answer(engine, chunk, top_k)
            take(answered)
            for text, answer in answered:
                if isinstance(answer, RecordError):
                    failed += 1
                    say(f"{text.place}: {escape(answer.message)}")
            count += len(chunk)
    return failed, count


def _answer(engine: Any, texts: list[Text], top_k: int) -> Answered:
    """The engine's answers. An input without a text gets its problem as the answer."""
    from labelstream.workers.classifier import Fault, RecordError, Request

    asked = iter(engine.classify([Request(text.text, top_k=top_k) for text in texts if not text.problem]))
    return [(text, RecordError(Fault.INVALID_MESSAGE, text.problem) if text.problem else next(asked)) for text in texts]


def _texts(given: list[str], file: TextFile | None, field: str | None, is_input: bool) -> Iterable[Text]:
    if file is None:
        return (of_argument(number, text) for number, text in enumerate(given, 1))
    if is_input:
        return of_file(file, field)
    return chain.from_iterable(
        of_lines(file.lines()) if text == "-" else [of_argument(number, text)] for number, text in enumerate(given, 1)
    )


@contextmanager
def _taker(output: Path | None, json: bool) -> Iterator[Take]:
    """The function that writes answers: to the file, or to stdout."""
    if output is not None:
        with answer_file(output) as written:
            yield written.write
        return
    show = answers.as_json if json else answers.as_columns if out().is_terminal else answers.as_tabs

    def take(answered: Answered) -> None:
        for text, answer in answered:
            print(show(text, answer), flush=True)

    yield take


def _zero_shot(labels: list[str], template: str | None) -> dict[str, Any]:
    options: dict[str, Any] = {"task": "zero-shot-classification", "candidate_labels": tuple(labels)}
    return options if template is None else options | {"hypothesis_template": template}


def _chunks(texts: Iterable[Text], size: int) -> Iterator[list[Text]]:
    """Chunks of `size` texts. 1 for a terminal, so that each line is answered at once."""
    iterator = iter(texts)
    while chunk := list(islice(iterator, size)):
        yield chunk
