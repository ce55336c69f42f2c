"""What is classified in a benchmark: the user's own texts, or made-up ones."""

from collections.abc import Sequence
from pathlib import Path

from labelstream.workers.engine.description import ModelDescription
from labelstream.workers.engine.tokenization.synthetic_texts import make_texts
from labelstream.workers.engine.tokenization.tokenizer import TextTokenizer
from labelstream.workers.errors import ConfigError
from labelstream.workers.file_errors import file_problem


def texts_for(description: ModelDescription, path: Path | None, count: int, mean_tokens: int) -> list[str]:
    """The first `count` texts of the file, or made up without one; as `nth_text` has them where there are fewer.

    No two are the same: who computes repeated texts once would look faster than it is. Raises ConfigError.
    """
    made = make_texts(TextTokenizer(description).backend, count, mean_tokens) if path is None else read_texts(path)
    different = list(dict.fromkeys(made))
    # Twice as many: a text may end with a number of its own.
    return list(dict.fromkeys(nth_text(different, number) for number in range(2 * count)))[:count]


def nth_text(texts: Sequence[str], number: int) -> str:
    """Of more than there are: they come again with the number of the turn at their end, so that none comes twice."""
    turn, place = divmod(number, len(texts))
    return f"{texts[place]} {turn}" if turn else texts[place]


def read_texts(path: Path) -> list[str]:
    """All lines that are not blank. Raises ConfigError."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            "--texts", f"{path} cannot be read ({file_problem(error, path)})", "name a file with one text per line"
        ) from None
    texts = [line for line in lines if line.strip()]
    if not texts:
        raise ConfigError("--texts", f"{path} has no text", "name a file with one text per line")
    return texts
