"""Reads texts, has them answered, and writes the answers: what `classify` and `predict` share."""

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from labelstream.deploy.cli.common.console import escape, out, plural, say, stops_on_signals
from labelstream.deploy.cli.common.progress import with_progress
from labelstream.deploy.cli.common.text_file import TextFile, open_text_file
from labelstream.deploy.cli.models import answers
from labelstream.deploy.cli.models.answer_file import Answered, answer_file
from labelstream.deploy.cli.models.texts import Text, of_argument, of_file, of_lines
from labelstream.workers.errors import ConfigError

if TYPE_CHECKING:
    from labelstream.workers.classifier import Answer, Request

TEXTS_PER_CALL = 256
Take = Callable[[Answered], None]
Ask = Callable[[Sequence["Request"]], Sequence["Answer"]]

Texts = Annotated[
    list[str] | None, typer.Argument(metavar="TEXT|-", help="Texts to classify; - reads lines from stdin.")
]
Input = Annotated[
    str | None,
    typer.Option(
        "--input",
        "-i",
        metavar="FILE|-",
        help="File with texts: lines, JSON lines, .csv or .tsv; also compressed: .gz, .zst.",
    ),
]
TextField = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Column or JSON field with the text, such as event.message; other fields are not read. Default: text, "
        "with text_pair, candidate_labels, hypothesis_template, multi_label and top_k if a line has them.",
    ),
]
Output = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        metavar="FILE",
        help="Write answers to this file, with all fields of --input: a table if it is a .csv, else JSON lines.",
    ),
]
Labels = Annotated[
    list[str] | None,
    typer.Option("--label", "-l", metavar="LABEL", help="Candidate label for zero-shot with an NLI model. Repeatable."),
]
Template = Annotated[
    str | None,
    typer.Option("--template", metavar="TEXT", help="Hypothesis for zero-shot, with {} in place of the label."),
]
TopK = Annotated[int, typer.Option("--top-k", "-k", min=1, help="Number of labels per text, best first.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object per text.")]


def check_template(template: str | None, labels: list[str] | None) -> None:
    """Raises ConfigError for a template without labels."""
    if template is not None and not labels:
        raise ConfigError("--template", "is for zero-shot", "add labels with --label")


class TextOptions(NamedTuple):
    """Where the texts come from and the answers go to, as the options of these names say."""

    texts: list[str] | None
    input: str | None
    text_field: str | None
    output: Path | None
    json: bool

    def check(self) -> None:
        """Raises ConfigError if options contradict each other, or no text is named."""
        if self.texts and self.input is not None:
            raise ConfigError("--input", "unexpected beside texts", "give one of the two")
        if not self.texts and self.input is None and sys.stdin.isatty():
            raise ConfigError("TEXT", "is missing", "give texts, a file with --input, or - to read lines from stdin")
        if self.text_field is not None and self.input is None:
            raise ConfigError(
                "--text-field", "names a column or field of a file", "add --input FILE, or --input - for stdin"
            )
        if self.text_field is not None and "[*]" in self.text_field:
            problem = f"{self.text_field} names a list, and each line has one text"
            fix = "name one field, or run a pipeline with this place in fields.text"
            raise ConfigError("--text-field", problem, fix)

    def source(self) -> AbstractContextManager[TextFile | None]:
        """The open file, or None if all texts are arguments."""
        if self.input is None and self.texts and "-" not in self.texts:
            return nullcontext(None)
        return open_text_file(self.input or "-")


def answer_texts(options: TextOptions, open_model: Callable[[], AbstractContextManager[Ask]], asked: "Request") -> None:
    """Have the texts of `options` answered by the function that `open_model` gives, each with the options of `asked`.

    Raises typer.Exit with code 1 if a text has no answer.
    """
    with stops_on_signals(), options.source() as file, _taker(options.output, options.json) as take:
        texts = _texts(options.texts or ["-"], file, options.text_field, options.input is not None)
        if options.output is not None and file is not None:
            texts = with_progress(file, texts, "texts")
        with open_model() as ask:
            failed, count = _answer_all(ask, texts, take, asked, file is not None and file.is_terminal)
    if options.output is not None:
        say(f"{plural(count - failed, 'text')} classified, written to {options.output}")
    if failed:
        say(f"{failed} of {plural(count, 'text')} could not be classified")
        raise typer.Exit(1)


def _answer_all(ask: Ask, texts: Iterable[Text], take: Take, asked: "Request", one_by_one: bool) -> tuple[int, int]:
    """Returns the number of texts without an answer, and the number of all texts."""
    from labelstream.workers.classifier import RecordError

    failed = count = 0
    for chunk in _chunks(texts, 1 if one_by_one else TEXTS_PER_CALL):
        answered = _answer(ask, chunk, asked)
        take(answered)
        for text, answer in answered:
            if isinstance(answer, RecordError):
                failed += 1
                say(f"{text.place}: {escape(answer.message)}")
        count += len(chunk)
    return failed, count


def _answer(ask: Ask, texts: list[Text], asked: "Request") -> Answered:
    """The answers to the texts, whose own options precede those of `asked`. A problem of a text is its answer."""
    from labelstream.workers.classifier import RecordError

    found = iter(ask([asked._replace(text=text.text, **text.options) for text in texts if not text.problem]))
    return [(text, RecordError(text.fault, text.problem) if text.problem else next(found)) for text in texts]


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


def _chunks(texts: Iterable[Text], size: int) -> Iterator[list[Text]]:
    """Chunks of `size` texts. 1 for a terminal, so that each line is answered at once."""
    iterator = iter(texts)
    while chunk := list(islice(iterator, size)):
        yield chunk
