"""What is classified in a benchmark: the user's own texts, or made-up ones of given lengths."""

import random
from pathlib import Path

from tokenizers import Tokenizer

from workers.errors import ConfigError

SIGMA = 0.6  # of the logarithm of lengths, as customer feedback has it
_LONGEST = 12  # times the mean


def read_texts(path: Path, count: int) -> list[str]:
    """The first `count` lines that are not blank; they are repeated where there are fewer. Raises ConfigError."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError("--texts", f"{path} cannot be read ({type(error).__name__})",
                          "name a file with one text per line, in UTF-8") from None
    texts = [line for line in lines if line.strip()][:count]
    if not texts:
        raise ConfigError("--texts", f"{path} has no text", "name a file with one text per line")
    return [texts[i % len(texts)] for i in range(count)]


def make_texts(tokenizer: Tokenizer, count: int, mean_tokens: int, seed: int = 1) -> list[str]:
    """`count` texts of about `mean_tokens` on average, log-normal, of whole words of the tokenizer's own vocabulary.

    Words are as frequent as in natural language (Zipf): a cache of words earns what it would on real texts.
    """
    rng = random.Random(seed)  # noqa: S311 - lengths and words, no secrets
    words = _whole_words(tokenizer)
    weights = [1 / (rank + 3) for rank in range(len(words))]
    mean = max(1, mean_tokens - tokenizer.num_special_tokens_to_add(False))
    # The mean of a log-normal is exp(mu + sigma^2 / 2).
    factors = [min(_LONGEST, rng.lognormvariate(-(SIGMA**2) / 2, SIGMA)) for _ in range(count)]
    return [" ".join(rng.choices(words, weights, k=max(1, round(mean * factor)))) for factor in factors]


def _whole_words(tokenizer: Tokenizer) -> list[str]:
    decoded = (tokenizer.decode([i]).strip() for i in range(tokenizer.get_vocab_size()))
    words = [word for word in dict.fromkeys(decoded) if len(word) > 1 and word.isalpha()]
    whole = [word for word in words if len(tokenizer.encode(" " + word, add_special_tokens=False).ids) == 1]
    return whole or words or ["a"]
