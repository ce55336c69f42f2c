"""`python -m labelstream.deploy.bench.suites.tokenization`: CPU per text of the engine's tokenizer and of plain
`tokenizers`.

Tokenizers: one of each kind with 30,000 pieces made of syllables, and the demo model's. Texts: words with natural
frequencies (Zipf), 32 tokens on average, with capital letters and punctuation. A sixth of the mixed texts contain a
character that the word cache cannot look up: an emoji joiner, or a control character for WordPiece.
"""

import argparse
import json
import random
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

from labelstream.workers.classifier import Request
from labelstream.workers.engine.description import Activation, ModelDescription
from labelstream.workers.engine.tokenization.synthetic_texts import SIGMA
from labelstream.workers.engine.tokenization.tokenizer import TextTokenizer

DEMO = Path(__file__).parents[2] / "demo" / "model" / "tokenizer.json"
WORDS, MIXED_SHARE, MICRO_BATCH = 25_000, 0.16, 256
_ENDS = ("a", "e", "i", "o", "u", "an", "er", "in", "al")
_SYLLABLES = [first + end for first in "bcdfghklmnprstvw" for end in _ENDS]
_SPECIALS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
_SIGNS = [chr(code) for code in range(0x21, 0x7F)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--texts", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    options = parser.parse_args()
    figures = measure(options.texts, options.rounds)
    _show(figures)
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n")


def measure(count: int, rounds: int) -> dict[str, dict[str, float]]:
    """Medians over alternating rounds: microseconds of CPU per text with warm caches, and their ratios."""
    words = make_words()
    made = {"WordPiece": wordpiece(words), "byte-level BPE": bpe(words), "Unigram": unigram(words)}
    figures = {name: _compare(tokenizer, words, count, rounds) for name, tokenizer in made.items()}
    demo = Tokenizer.from_file(str(DEMO))
    known = [word for word in demo.get_vocab() if word.isalpha() and len(word) > 1]
    return {**figures, "demo's model": _compare(demo, sorted(known), count, rounds)}


def _compare(tokenizer: Tokenizer, words: list[str], count: int, rounds: int) -> dict[str, float]:
    tokenizer.no_truncation()
    tokenizer.no_padding()
    description = ModelDescription(
        "bench", "", "text-classification", ("a",), Activation.SOFTMAX, 512, 1, tokenizer.to_str()
    )
    ours = TextTokenizer(description)
    texts = make_texts(words, count)
    odd = "\x01" if json.loads(tokenizer.to_str())["model"]["type"] == "WordPiece" else "\u200d"
    rng = random.Random(2)  # noqa: S311
    mixed = [text + odd if rng.random() < MIXED_SHARE else text for text in texts]
    ways: dict[str, Callable[[], Any]] = {
        "words": _in_batches(ours.encode, [Request(text) for text in texts]),
        "mixed": _in_batches(ours.encode, [Request(text) for text in mixed]),
        "plain": _in_batches(lambda some: [one.ids for one in tokenizer.encode_batch_fast(some)], texts),
    }
    for run in ways.values():
        run()
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, run in ways.items():
            started = time.process_time()
            run()
            seconds[name].append((time.process_time() - started) / count * 1e6)
    packed, _ = ours.encode([Request(text) for text in texts])
    figures = {name: statistics.median(values) for name, values in seconds.items()}
    for name in ("words", "mixed"):
        pairs = zip(seconds["plain"], seconds[name], strict=True)
        figures[f"plain / {name}"] = statistics.median(plain / one for plain, one in pairs)
    return {"tokens": float(packed.lengths.mean()), **figures}


def _in_batches(run: Callable[[list[Any]], Any], items: list[Any]) -> Callable[[], None]:
    def every() -> None:
        for first in range(0, len(items), MICRO_BATCH):
            run(items[first : first + MICRO_BATCH])

    return every


def make_words(count: int = WORDS, seed: int = 1) -> list[str]:
    """`count` different words of one to four syllables."""
    rng = random.Random(seed)  # noqa: S311
    found: dict[str, None] = {}
    while len(found) < count:
        found["".join(rng.choices(_SYLLABLES, k=rng.choice((1, 2, 2, 3, 3, 4))))] = None
    return list(found)


def make_texts(words: list[str], count: int, mean_words: int = 26, seed: int = 1) -> list[str]:
    """Texts of log-normal lengths. Punctuation follows one word in eight."""
    rng = random.Random(seed)  # noqa: S311
    weights = [1 / (rank + 3) for rank in range(len(words))]
    texts = []
    for _ in range(count):
        length = max(1, round(mean_words * rng.lognormvariate(-(SIGMA**2) / 2, SIGMA)))
        text = [
            word + rng.choice(",.!?") if rng.random() < 1 / 8 else word
            for word in rng.choices(words, weights, k=length)
        ]
        texts.append(" ".join([text[0].capitalize(), *text[1:]]))
    return texts


def wordpiece(words: list[str]) -> Tokenizer:
    """A tokenizer like BERT's, lower case."""
    pieces = dict.fromkeys(
        [*_SPECIALS, *_SIGNS, *(f"##{sign}" for sign in _SIGNS), *words, *(f"##{part}" for part in _SYLLABLES)]
    )
    made = Tokenizer(models.WordPiece({piece: i for i, piece in enumerate(pieces)}, unk_token="[UNK]"))  # noqa: S106
    made.normalizer = normalizers.BertNormalizer()
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return _framed(made)


def bpe(words: list[str]) -> Tokenizer:
    """A tokenizer like RoBERTa's, trained on texts of these words."""
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=30_000,
        special_tokens=_SPECIALS,
        show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    made.train_from_iterator([*make_texts(words, 5_000, seed=3), " ".join(words)], trainer)
    return _framed(made)


def unigram(words: list[str]) -> Tokenizer:
    """A tokenizer like XLM-R's: whole words are likelier than their parts."""
    whole = {f"\u2581{word}": -6 - rank / 3_000 for rank, word in enumerate(words)}
    pieces = {
        **dict.fromkeys(_SPECIALS, 0.0),
        **whole,
        **dict.fromkeys(_SYLLABLES, -12.0),
        **dict.fromkeys([*_SIGNS, "\u2581"], -15.0),
    }
    made = Tokenizer(models.Unigram(list(pieces.items()), unk_id=1))
    made.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.WhitespaceSplit(),
            pre_tokenizers.Metaspace(replacement="\u2581", prepend_scheme="always"),
        ]
    )
    return _framed(made)


def _framed(tokenizer: Tokenizer) -> Tokenizer:
    ids = [(token, tokenizer.token_to_id(token)) for token in ("[CLS]", "[SEP]")]
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=ids
    )
    return tokenizer


def _show(figures: dict[str, dict[str, float]]) -> None:
    table = Table("tokenizer", "tokens", "cached", "16% not", "plain", "plain / cached", "plain / 16% not")
    for name, found in figures.items():
        table.add_row(
            name,
            *(f"{found[key]:.1f}" for key in ("tokens", "words", "mixed", "plain", "plain / words", "plain / mixed")),
        )
    console = Console(width=120)
    console.print(table)
    console.print("microseconds of CPU per text, caches warm")


if __name__ == "__main__":
    main()
