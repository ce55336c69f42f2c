"""`labelstream classify`: the engine alone, without Kafka and Ray."""

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
        list[str] | None, typer.Argument(metavar="[TEXT...|-]", help="Texts; - reads stdin's lines.")
    ] = None,
    input: Annotated[
        str | None,
        typer.Option(
            "--input",
            "-i",
            metavar="FILE|-",
            help="A file of texts: lines, JSON lines, or a .csv or .tsv; also as .gz or .zst.",
        ),
    ] = None,
    text_field: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="The column or JSON field of the text, such as event.message. Default: text."
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="Write JSON lines there, or a table where it is a .csv: all that --input has, and the answers.",
        ),
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

    With `-`, or with nothing while stdin is no terminal, every line of stdin is a text; blank lines are left out. Exits
    with 1 when there is a text without an answer; the others are answered.
    """
    if texts and input is not None:
        raise ConfigError("--input", "comes beside texts", "give one of the two")
    if not texts and input is None and sys.stdin.isatty():
        raise ConfigError("TEXT", "is missing", "give texts, a file with --input, or - to read stdin's lines")
    if text_field is not None and input is None:
        raise ConfigError(
            "--text-field", "names a column or field of a file", "give the file with --input, - for stdin"
        )
    if model is None and revision is not None:
        raise ConfigError("--revision", "belongs to a model of the hub", "give --model too")
    if template is not None and not label:
        raise ConfigError("--template", "belongs to zero-shot", "give labels with --label")
    if task is not None and (label or model is None):
        raise ConfigError("--task", "is for a model made for it, and labels mean zero-shot", "give --model, no --label")
    options: dict[str, Any] = _zero_shot(label, template) if label else {} if task is None else {"task": task}
    source = open_text_file(input or "-") if input is not None or not texts or "-" in texts else nullcontext(None)
    with stops_on_signals(), source as file, _taker(output, json) as take:
        found = _texts(texts or ["-"], file, text_field, input is not None)
        if output is not None and file is not None:
            found = with_progress(file, found, "texts")
        failed, count = _classify(found, take, model, revision, top_k, options, file is not None and file.is_terminal)
    if output is not None:
        say(f"{plural(count - failed, 'text')} classified, in {output}")
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
    """Returns how many have no answer, and how many there are."""
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
    """The engine's answers; what has no text has the reason for one."""
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
    """What takes answers: the file, or stdout."""
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
    """Full chunks from a pipe or file; line by line from a person who types."""
    iterator = iter(texts)
    while chunk := list(islice(iterator, size)):
        yield chunk
