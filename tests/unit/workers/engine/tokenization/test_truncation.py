"""Truncating before tokenizing gives the tokens of truncating the whole text."""

import random
import time
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
import transformers
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from labelstream.workers.classifier import Request
from labelstream.workers.engine.description import Activation, Keep, ModelDescription, Windows
from labelstream.workers.engine.tasks.windows import encode_windows, spans
from labelstream.workers.engine.tokenization import truncation as ends
from labelstream.workers.engine.tokenization.refusals import LONE_SURROGATE
from labelstream.workers.engine.tokenization.special_tokens import ID_BYTES, int32_bytes
from labelstream.workers.engine.tokenization.tokenizer import TextTokenizer
from labelstream.workers.engine.tokenization.truncation import cut
from tests.support.models import make_tokenizer
from tests.support.unicode_texts import MANY_SCRIPTS

ATOMS = (
    "good ",
    "not bad ",
    "a ",
    ". ",
    ".",
    "..",
    "...",
    "a",
    "ab",
    "abcdefghij",
    "\x01",
    " ",
    "  ",
    "\n",
    "\t",
    "\r\n",
    "'s",
    "'ll",
    "'",
    "''",
    "``",
    "`",
    "\u0301",
    "e\u0301",
    "\ufdfa",
    "\u4e2d",
    "\u6587",
    "\u3002",
    "\uff01",
    "5",
    "55",
    "0a",
    "_",
    "-",
    "--",
    "[MASK]",
    "<mask>",
    "</s>",
    "[SEP]",
    "<s>",
    "good",
    "Bad",
    "\U0001f600",
    "\U0001f1e9",
    "\u200d",
    "\u0e44\u0e17\u0e22",
    "\u0628\u064e",
    "\u00a0",
    "\u2028",
    "\u1100\u1161",
    "\ud55c",
    "\u30ab\u3099",
    "\ufb01",
    "\u00e9",
    "\u0130",
    "\u0436",
    "\u0436 ",
    "been ",
    "I've ",
    "it's",
    "\ufffd",
    "\u0c4d\u0c37",
    "x" * 200,
    "\u2581",
    "\uff21",
    "\uff07",
    "\ufc5e",
    "\u00a8",
)
ATOM = st.one_of(st.sampled_from(ATOMS), st.sampled_from(ATOMS), MANY_SCRIPTS)
REPEATED = st.builds(
    lambda first, atoms, times: first + "".join(atoms) * times,
    st.one_of(st.just(""), ATOM),
    st.lists(ATOM, min_size=1, max_size=3),
    st.integers(1, 900),
)
MIXED = st.lists(
    st.builds(lambda atom, times: atom * times, ATOM, st.sampled_from((1, 1, 2, 5, 40, 300))), min_size=1, max_size=30
).map("".join)
TEXT = st.one_of(REPEATED, MIXED).map(lambda text: text[:4_000])
LENGTHS = (7, 24)


def changed(family: str, change: Callable[[Tokenizer], Any], **options: Any) -> Tokenizer:
    tokenizer = Tokenizer.from_str(make_tokenizer(family, **options).backend_tokenizer.to_str())
    tokenizer.no_truncation()
    tokenizer.no_padding()
    change(tokenizer)
    return tokenizer


def as_it_is(tokenizer: Tokenizer) -> None:
    pass


def normalizer(*steps: Any) -> Callable[[Tokenizer], Any]:
    return lambda tokenizer: setattr(tokenizer, "normalizer", normalizers.Sequence(list(steps)))


def added(content: str, **how: Any) -> Callable[[Tokenizer], Any]:
    return lambda tokenizer: tokenizer.add_tokens([AddedToken(content, **how)])


def trained(kind: str) -> Tokenizer:
    """A tokenizer with learned tokens and merges of all lengths."""
    rng = random.Random(1)
    words = ["".join(rng.choices("abcdefghijklmnopqrst.,'-5\u00e9", k=rng.randrange(2, 9))) for _ in range(10_000)]
    lines = [" ".join(words[i : i + 50]) for i in range(0, len(words), 50)]
    lines += ["." * 40, "-" * 60, "abcdefghij" * 5] * 40
    if kind == "bpe":
        made = Tokenizer(models.BPE())
        made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        made.decoder = decoders.ByteLevel()
        made.train_from_iterator(
            lines,
            trainers.BpeTrainer(
                vocab_size=1_500, show_progress=False, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()
            ),
        )
        return made
    made = Tokenizer(models.Unigram())
    made.normalizer = normalizers.NFKC()
    made.pre_tokenizer = pre_tokenizers.Metaspace()
    made.train_from_iterator(
        lines, trainers.UnigramTrainer(vocab_size=800, show_progress=False, special_tokens=["<unk>"], unk_token="<unk>")
    )
    return made


MADE: dict[str, Callable[[], Tokenizer]] = {
    **{
        family: lambda family=family: changed(family, as_it_is)
        for family in ("bert", "mpnet", "roberta", "xlm-roberta", "albert", "deberta-v2")
    },
    "cased": lambda: changed("bert", as_it_is, cased=True),
    "a word added": lambda: changed("bert", added("Bad", single_word=True)),
    "part of words added": lambda: changed("bert", added("good", normalized=True)),
    "takes whitespace": lambda: changed("bert", added("bad", rstrip=True, lstrip=True)),
    "bpe behind NFC": lambda: changed("roberta", normalizer(normalizers.NFC())),
    "a space first": lambda: changed(
        "roberta", lambda made: setattr(made, "pre_tokenizer", pre_tokenizers.ByteLevel(add_prefix_space=True))
    ),
    "runs of spaces added": lambda: changed("roberta", added("  ", normalized=True)),
    "bpe takes whitespace before": lambda: changed("roberta", added("<r>", lstrip=True, normalized=False)),
    "bpe takes whitespace behind": lambda: changed("roberta", added("<r>", rstrip=True, normalized=False)),
    "unigram takes whitespace": lambda: changed(
        "xlm-roberta",
        lambda made: (
            normalizer(normalizers.NFKC())(made),
            added("<r>", lstrip=True, rstrip=True, normalized=False)(made),
        ),
    ),
    "Strip, NFKC and one space": lambda: changed(
        "xlm-roberta", normalizer(normalizers.Strip(), normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " "))
    ),
    "NFKC and one space": lambda: changed(
        "xlm-roberta", normalizer(normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " "), normalizers.Strip())
    ),
    "a word is replaced": lambda: changed("deberta-v2", normalizer(normalizers.Replace("bad", "good"))),
    "learned bpe": lambda: trained("bpe"),
    "learned unigram": lambda: trained("unigram"),
}


@cache
def tokenizer_of(name: str) -> Tokenizer:
    return MADE[name]()


@cache
def ours(name: str, keep: Keep, max_length: int) -> TextTokenizer:
    return TextTokenizer(
        ModelDescription(
            "m", "r", "t", ("a",), Activation.SOFTMAX, max_length, 1, tokenizer_of(name).to_str(), keep=keep
        )
    )


def whole(name: str, text: str) -> bytes:
    return int32_bytes(tokenizer_of(name).encode(text, add_special_tokens=False).ids)


@pytest.fixture(autouse=True)
def near_probes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Search windows small enough for texts of some hundred characters."""
    monkeypatch.setattr(ends, "_PROBE_CHARS", 40)


@pytest.mark.parametrize("keep", list(Keep))
@pytest.mark.parametrize("name", MADE)
@given(text=TEXT)
@example(text="\ufdfa" * 600)
@example(text="." * 1_000)
@example(text="\x01" + "good bad " * 200)
@example(text="\u00e9" + "abcdefghij" * 200)
@example(text="a " + "e\u0301" * 700 + " b")
@example(text="[MASK]" * 300)
@example(text="x" * 99 + "\u0301" * 1_000 + "x")
@example(text="hello" + "\n" * 3_000 + "<r> is good")
@example(text="hello <r>" + " " * 3_000 + "is good")
@example(text=("aba " + "\x85" * 400) * 20 + "aba")
@settings(max_examples=10, deadline=None, derandomize=True)
def test_truncation_equals_truncating_the_whole_text(name: str, keep: Keep, text: str) -> None:
    every = whole(name, text)
    for max_length in LENGTHS:
        tokenizer = ours(name, keep, max_length)
        most = tokenizer.enough
        (content,) = tokenizer.contents([text], most, keep)
        assert isinstance(content, bytes)
        for room in (1, most // 2, max_length):
            assert cut(content, room, keep) == cut(every, room, keep)
        assert content == every or min(len(content), len(every)) >= most * ID_BYTES


@pytest.mark.parametrize("side", ["right", "left"])
@given(first=TEXT, second=TEXT.filter(bool))  # an empty text_pair counts as none
@example(first="x " * 500, second="y " * 501)
@example(first="x " * 501, second="y " * 500)
@example(first="x " * 500, second="y " * 500)
@example(first="x " * 41, second="y " * 40)
@example(first="x " * 101, second="y " * 100)
@example(first="x " * 30, second="y " * 2_000)
@example(first="." * 3_000, second=". " * 20)
@example(first="good", second="")
@settings(max_examples=20, deadline=None, derandomize=True)
def test_longer_text_of_a_pair_keeps_the_odd_token(side: str, first: str, second: str) -> None:
    tokenizer = ours("bert", Keep.TAIL if side == "left" else Keep.HEAD, 24)
    oracle = make_tokenizer("bert")
    oracle.truncation_side = side
    packed, truncated = tokenizer.encode([Request(first, second)])
    expected = oracle(first, second, truncation=True, max_length=24, return_token_type_ids=True)
    assert packed.ids.tolist() == expected["input_ids"]
    # Without type ids all are 0: an empty second text makes no pair.
    types = [0] * len(packed.ids) if packed.type_ids is None else packed.type_ids.tolist()
    assert types == expected["token_type_ids"]
    assert truncated == [len(oracle(first, second)["input_ids"]) > 24]


@pytest.mark.parametrize("name", ["bert", "roberta", "albert", "learned unigram"])
@given(text=TEXT, most=st.integers(1, 4))
@example(text="good bad " * 900, most=2)
@settings(max_examples=20, deadline=None, derandomize=True)
def test_windows_equal_those_of_the_whole_text(name: str, text: str, most: int) -> None:
    tokenizer, every = ours(name, Keep.HEAD, 24), whole(name, text)
    packed, (counts, truncated), refused = encode_windows(tokenizer, Windows(5, "mean", most), [Request(text)])
    room = 24 - tokenizer.single.special_count
    parts = spans(len(every) // ID_BYTES, room, 5, 10_000)
    expected = b"".join(tokenizer.single.wrap([every[a * ID_BYTES : b * ID_BYTES]]) for a, b in parts[:most])
    if not expected:
        assert refused.keys() == {0}
        return
    assert packed.ids.tobytes() == expected
    assert (counts, truncated) == ([min(most, len(parts))], [len(parts) > most])


@pytest.mark.parametrize("name", MADE)
def test_most_long_texts_are_tokenized_in_part(name: str) -> None:
    """A check of the tests above: they must tokenize parts."""
    tokenizer = ours(name, Keep.HEAD, 24)
    (content,) = tokenizer.contents(["not bad, good " * 1_000], tokenizer.enough)
    assert isinstance(content, bytes)
    assert len(content) < len(whole(name, "not bad, good " * 1_000)) / 10


MIB = 1 << 20
HEAVY = {
    "WordPiece": (
        "bert",
        (
            "\x01" + "good bad " * (MIB // 9),
            "\x01" + "." * MIB,
            "\x01" + "a " * (MIB // 2),
            "\u4e2d" * (MIB // 3),
            "\x01" * MIB,
            " " * MIB,
            "a" * MIB,
            "[MASK]" * (MIB // 6),
        ),
    ),
    "BPE": (
        "learned bpe",
        (
            "\u00e9" + "abcdefghij" * (MIB // 10),
            "a" * MIB,
            "a  " * (MIB // 3),
            "\x01" * MIB,
            "\U0001f600" * (MIB // 4),
            "e\u0301" * (MIB // 3),
        ),
    ),
    "Unigram": ("learned unigram", ("\ufdfa" * (MIB // 3), "\u00e9" + "abcdefghij" * (MIB // 10))),
}


@pytest.mark.parametrize("kind", HEAVY)
def test_truncating_a_mebibyte_tokenizes_a_fraction(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The total over all kinds of texts: plain words take so little time that they would hide slow kinds."""
    monkeypatch.undo()
    name, texts = HEAVY[kind]
    tokenizer = ours(name, Keep.HEAD, 512)
    started = time.process_time()
    tokenizer.encode([Request(text) for text in texts])
    cut_first = time.process_time() - started
    started = time.process_time()
    for text in texts:
        tokenizer.backend.encode_batch_fast([text], add_special_tokens=False)
    assert 4 * cut_first < time.process_time() - started


class Spaces:
    """Split points before each space."""

    def first(self, text: str, start: int, stop: int) -> int | None:
        found = text.find(" ", start, stop)
        return None if found < 0 else found


@pytest.mark.parametrize("end", ["first", "last"])
def test_end_of_a_long_text_is_read_only_as_far_as_wanted(end: str) -> None:
    asked: list[str] = []

    def ask(text: str) -> bytes:
        asked.append(text)
        return int32_bytes([int(word) for word in text.split()])

    places: Any = Spaces()
    numbers, wanted = range(10_000, 40_000), 100
    text = " ".join(map(str, numbers))
    found = getattr(ends.Truncation(places, None, None, ask), end)(text, wanted)
    whole = int32_bytes(list(numbers))
    assert len(found) >= wanted * ID_BYTES
    assert whole.startswith(found) if end == "first" else whole.endswith(found)
    assert sum(map(len, asked)) < len(text) // 20


def test_lone_surrogates_are_refused_anywhere() -> None:
    tokenizer = ours("bert", Keep.HEAD, 24)
    requests = [Request("good"), Request("\ud800" + "good " * 1_000), Request("\ud800"), Request("a", "\udfff")]
    packed, truncated, refused = tokenizer.encode_each(requests)
    assert (len(packed.lengths), truncated, refused.keys()) == (1, [False], {1, 2, 3})
    assert set(refused.values()) == {LONE_SURROGATE}
    with pytest.raises(ValueError, match="3 of 4 texts are refused: the text has a lone surrogate, which UTF-8"):
        tokenizer.encode(requests)


def test_tokenizer_without_split_points_reads_the_whole() -> None:
    oracle = transformers.PreTrainedTokenizerFast(
        tokenizer_object=changed(
            "bert", lambda made: setattr(made, "pre_tokenizer", pre_tokenizers.Split(Regex(r"\s"), "removed"))
        )
    )
    description = replace(
        ModelDescription("m", "r", "t", ("a",), Activation.SOFTMAX, 24, 1, ""),
        tokenizer_json=oracle.backend_tokenizer.to_str(),
    )
    for keep in Keep:
        tokenizer = TextTokenizer(replace(description, keep=keep))
        (content,) = tokenizer.contents(["good bad " * 1_000], 25, keep)
        assert isinstance(content, bytes)
        every = int32_bytes(oracle.backend_tokenizer.encode("good bad " * 1_000, add_special_tokens=False).ids)
        assert cut(content, 20, keep) == cut(every, 20, keep)
