"""Plain tokenizers to compare with, and texts of all kinds of pieces."""

from hypothesis import strategies as st
from tokenizers import Tokenizer

from labelstream.workers.engine.tokenization.special_tokens import int32_bytes
from tests.support.models import make_tokenizer

TEXT = st.lists(
    st.sampled_from(("good", "bad ", "a", ".", "'s", "\u00e9", "\u4e2d", "5", " ", "\n", "x" * 30)), min_size=60
)


def plain(family: str) -> Tokenizer:
    """Of a model family, without truncation and padding."""
    tokenizer = Tokenizer.from_str(make_tokenizer(family).backend_tokenizer.to_str())
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def ids(tokenizer: Tokenizer, text: str) -> bytes:
    """The int32 ids of `text`, without special tokens."""
    return int32_bytes(tokenizer.encode(text, add_special_tokens=False).ids)
