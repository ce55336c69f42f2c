"""Synthetic texts, for measurements and calibration without real texts. No torch."""

import random

from tokenizers import Tokenizer

SIGMA = 0.6  # standard deviation of the logarithm of lengths, as in customer feedback
_LONGEST = 12  # the longest text as a multiple of the mean


def make_texts(tokenizer: Tokenizer, count: int, mean_tokens: int, seed: int = 1) -> list[str]:
    """`count` texts of whole words from the tokenizer's vocabulary, log-normal in length, `mean_tokens` on average.

    Word frequencies follow Zipf's law, so a word cache hits as often as on real texts.
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
