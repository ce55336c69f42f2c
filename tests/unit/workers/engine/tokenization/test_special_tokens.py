"""Templates of special tokens follow the tokenizer, and other post-processors are refused."""

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from labelstream.workers.engine.tokenization.special_tokens import SpecialTokensTemplate, frames, int32_bytes
from labelstream.workers.errors import ModelError

WORDS = {word: i for i, word in enumerate(["?", "<s>", "</s>", "good", "bad", "a", "b", "c"])}
SPECIALS = [("<s>", 1), ("</s>", 2)]


def tokenizer(single: str = "$A", pair: str = "$A $B:1") -> Tokenizer:
    made = Tokenizer(models.WordLevel(WORDS, unk_token="?"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.post_processor = processors.TemplateProcessing(single=single, pair=pair, special_tokens=SPECIALS)
    return made


def test_template_has_the_tokens_around_the_texts() -> None:
    single, pair = frames(tokenizer("<s> $A </s> </s>", "<s> $A </s>:1 </s> $B:1 </s>:1"))
    ids = int32_bytes
    assert single == SpecialTokensTemplate((ids([1]), ids([2, 2])), (b"\0", b"\0\0"), (0,), 3)
    assert pair == SpecialTokensTemplate((ids([1]), ids([2, 2]), ids([2])), (b"\0", b"\1\0", b"\1"), (0, 1), 4)
    assert (single.has_types, pair.has_types) == (False, True)
    assert (single.largest_type, pair.largest_type) == (0, 1)
    assert single.wrap([ids([3, 4])]) == ids([1, 3, 4, 2, 2])
    assert pair.wrap([ids([3]), ids([4, 5])]) == ids([1, 3, 2, 2, 4, 5, 2])
    assert pair.types([ids([3]), ids([4, 5])]) == bytes([0, 0, 1, 0, 1, 1, 1])


@pytest.mark.parametrize("pair", ["<s> $A </s> $B", "$A </s>:1 $B", "$A $B:1"])
def test_has_types_if_any_type_id_is_nonzero(pair: str) -> None:
    assert frames(tokenizer(pair=pair))[1].has_types == (":1" in pair)


def test_type_id_255_stands_for_all_larger_ones() -> None:
    single, pair = frames(tokenizer("<s>:254 $A:255", "<s>:300 $A:256 $B:254"))
    assert (single.gap_types[0], single.content_types, single.largest_type) == (b"\xfe", (255,), 255)
    assert (pair.gap_types[0], pair.content_types, pair.largest_type) == (b"\xff", (255, 254), 255)


def test_template_may_be_empty() -> None:
    made = tokenizer()
    made.post_processor = None
    single, pair = frames(made)
    assert (single.special_count, pair.special_count, pair.content_types) == (0, 0, (0, 1))


@pytest.mark.parametrize(
    ("single", "pair"),
    [("$A", "$B $A"), ("<s> $A", "<s> $B </s> $A </s>"), ("<s>", "$A $B"), ("$A $A", "$A $B")],
)
def test_post_processor_that_reorders_texts_is_refused(single: str, pair: str) -> None:
    with pytest.raises(ModelError, match="post-processor does more than add special tokens"):
        frames(tokenizer(single, pair))


def test_template_of_texts_with_several_tokens() -> None:
    made = tokenizer("<s> $A </s>", "<s> $A </s> $B:1 </s>:1")
    made.pre_tokenizer = pre_tokenizers.Split("", "isolated")  # each character by itself
    single, pair = frames(made)
    assert (single.special_count, single.content_types, pair.special_count, pair.content_types) == (2, (0,), 3, (0, 1))


class Odd:
    """Behaves as `plain`, and from the second probe on, where a text has more than one word, as `other`."""

    def __init__(self, plain: tuple[str, str], other: tuple[str, str]) -> None:
        self._plain, self._other = tokenizer(*plain), tokenizer(*other)

    def encode(self, text: str, pair: str | None = None, add_special_tokens: bool = True) -> object:
        chosen = self._other if " " in text and add_special_tokens else self._plain
        return chosen.encode(text, pair, add_special_tokens=add_special_tokens)


@pytest.mark.parametrize(
    "other",
    [
        ("<s> $A </s>", "<s> $A $B:1"),
        ("<s> $A:1", "<s> $A $B:1"),
        ("<s> $A", "<s> $A </s> $B:1"),
        ("<s> $A", "<s> $A $B:0"),
        ("</s> $A", "<s> $A $B:1"),
    ],
    ids=["ids", "types", "ids of a pair", "types of a pair", "ids, as many"],
)
def test_template_that_depends_on_the_text_is_refused(other: tuple[str, str]) -> None:
    frames(Odd(("<s> $A", "<s> $A $B:1"), ("<s> $A", "<s> $A $B:1")))  # type: ignore[arg-type]
    with pytest.raises(ModelError, match="post-processor does more"):
        frames(Odd(("<s> $A", "<s> $A $B:1"), other))  # type: ignore[arg-type]
