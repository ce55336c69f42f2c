"""Benchmark material: feedback-like texts of log-normal lengths, and a model of DistilBERT-base's shape.

The weights are random, because a forward's time does not depend on them. Synthetic words have the frequencies of real
ones (Zipf), so the tokenizer's cache hits as often as on real text.
"""

import random
from pathlib import Path
from typing import Any

import torch
import transformers

MEAN_TOKENS, SIGMA, LONGEST = 32, 0.6, 400
VOCABULARY = 30_522
BASE = {"dim": 768, "n_layers": 6, "n_heads": 12, "hidden_dim": 3072}
TINY = {"dim": 32, "n_layers": 1, "n_heads": 2, "hidden_dim": 32}
_SYLLABLES = [c + v for c in "bdfgklmnprstvz" for v in "aeiou"]
_ODDITIES = ["café", "naïve", "😀", "“quoted”", "€20"]


def make_words(count: int, seed: int = 1) -> list[str]:
    """`count` different synthetic words, the frequent ones short."""
    rng = random.Random(seed)
    words: dict[str, None] = {}
    while len(words) < count:
        words["".join(rng.choices(_SYLLABLES, k=min(4, 1 + len(words) // 400 + rng.randrange(2))))] = None
    return list(words)


def make_texts(count: int, seed: int = 2) -> list[str]:
    """Texts of 32 tokens on average, log-normal; one in eight holds something that is not ASCII."""
    rng = random.Random(seed)
    words = make_words(30_000)
    weights = [1 / (rank + 3) for rank in range(len(words))]
    mu = 3.466 - SIGMA**2 / 2  # ln(32) less half the variance: the mean is 32
    texts = []
    for _ in range(count):
        tokens = max(3, min(LONGEST, round(rng.lognormvariate(mu, SIGMA))))
        chosen = rng.choices(words, weights, k=max(1, round(tokens * 0.76) - 2))
        for i in range(rng.randrange(3), len(chosen), 9):
            chosen[i] += rng.choice([",", ".", "!", "'s"])
        chosen[0] = chosen[0].capitalize()
        if rng.random() < 0.125:
            chosen[rng.randrange(len(chosen))] = rng.choice(_ODDITIES)
        texts.append(" ".join(chosen) + ".")
    return texts


def make_model(folder: Path, shape: dict[str, Any]) -> Path:
    """Write a DistilBERT of `shape` with a vocabulary of the usual size into `folder`."""
    letters = sorted({letter for syllable in _SYLLABLES for letter in syllable} | set("abcdefghijklmnopqrstuvwxyz"))
    signs = list("!\"#$%&'()*+,-./0123456789:;<=>?@[]^_`{|}~€“”éï")
    pieces = [
        "[PAD]",
        "[UNK]",
        "[CLS]",
        "[SEP]",
        "[MASK]",
        *signs,
        *letters,
        *(f"##{letter}" for letter in letters),
        *_SYLLABLES,
        *(f"##{syllable}" for syllable in _SYLLABLES),
        *make_words(22_000),
    ]
    vocab = {piece: i for i, piece in enumerate(dict.fromkeys(pieces))}
    tokenizer = transformers.DistilBertTokenizer(vocab=vocab, do_lower_case=True, model_max_length=512)
    config = transformers.DistilBertConfig(
        vocab_size=VOCABULARY, id2label={0: "NEGATIVE", 1: "POSITIVE"}, label2id={"NEGATIVE": 0, "POSITIVE": 1}, **shape
    )
    torch.manual_seed(0)
    model = transformers.DistilBertForSequenceClassification(config)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
