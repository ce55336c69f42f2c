"""Plain tokenizers to compare with, and texts of all kinds of pieces."""

import struct

from hypothesis import strategies as st
from tokenizers import Tokenizer, normalizers

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


def tabs_to(text: str) -> normalizers.Normalizer:
    """SentencePiece's precompiled normalizer with one rule: a tab becomes `text`.

    The rules are a double-array trie, here of one unit for the byte of a tab and one for its value, and the new texts.
    """
    tab, value = 9, 16
    units = [0] * 256
    units[tab] = tab | 1 << 8 | (tab ^ value) << 10  # label, has a value, offset to it
    trie = struct.pack(f"<{len(units)}I", *units)
    return normalizers.Precompiled(struct.pack("<I", len(trie)) + trie + text.encode() + b"\0")
