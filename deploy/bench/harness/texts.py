"""The texts of a benchmark: from the user's file, or synthetic."""

from collections.abc import Sequence
from pathlib import Path

from labelstream.workers.engine.description import ModelDescription
from labelstream.workers.engine.tokenization.synthetic_texts import make_texts
from labelstream.workers.engine.tokenization.tokenizer import TextTokenizer
from labelstream.workers.errors import ConfigError
from labelstream.workers.file_errors import file_problem


def texts_for(description: ModelDescription, path: Path | None, count: int, mean_tokens: int) -> list[str]:
    """The first `count` texts of the file, or synthetic texts. Too few texts are repeated as in `nth_text`.

    All texts are different, because a cache of repeated texts would distort the figures. Raises ConfigError.
    """
    made = make_texts(TextTokenizer(description).backend, count, mean_tokens) if path is None else read_texts(path)
    different = list(dict.fromkeys(made))
    # Twice as many: a repeated text with its number may equal another text.
    return list(dict.fromkeys(nth_text(different, number) for number in range(2 * count)))[:count]


def nth_text(texts: Sequence[str], number: int) -> str:
    """Text number `number`. Beyond the last one texts are repeated, with the number of the round at their end."""
    turn, place = divmod(number, len(texts))
    return f"{texts[place]} {turn}" if turn else texts[place]


def read_texts(path: Path) -> list[str]:
    """All non-blank lines. Raises ConfigError."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            "--texts", f"{path} cannot be read ({file_problem(error, path)})", "give a file with one text per line"
        ) from None
    texts = [line for line in lines if line.strip()]
    if not texts:
        raise ConfigError("--texts", f"{path} contains no text", "give a file with one text per line")
    return texts
