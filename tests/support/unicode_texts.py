"""Unusual texts for hypothesis: many scripts, lengths and special characters."""

from hypothesis import strategies as st

from tests.support.models import TEXTS

_SCRIPTS = (
    "abcdefghijklmnopqrstuvwxyz",
    "ABCXYZ0123456789",
    ".,!?'\"-()[]{}<>@#%&*/\\|~^_`$+=:;",
    "\u00e0\u00e9\u00ee\u00f5\u00fc\u00df\u00f8\u0142\u0131\u0130",  # Latin
    "\u03b1\u03b2\u03c2\u03c3\u03a9\u1f00\u0434\u0436\u0451\u0439\u0416",  # Greek, Cyrillic
    "\u0645\u0631\u062d\u0628\u0627\u064e\u0651\u05e9\u05dc\u05d5\u05dd\u05b8",  # Arabic, Hebrew
    "\u0928\u092e\u0938\u094d\u0924\u0947\u0e2a\u0e27\u0e31\u0e2a\u0e14\u0e35",  # Devanagari, Thai
    "\u65e5\u672c\u8a9e\u4e2d\u6587\u3042\u30ab\u30fc\uff21\uff11",  # Chinese, Japanese
    "\ud55c\uad6d\uc5b4\u1112\u1161\u11ab",  # Korean, whole and in parts
    "\U0001f600\U0001f468\u200d\U0001f469\U0001f3fd\u2764\ufe0f\U0001f1e9\U0001f1ea",  # emoji, and what joins them
    "\u0300\u0301\u0308\u0327\u20dd",  # combining marks
    "\u200b\u200c\u200d\u200e\u200f\u2060\ufeff\u00ad\u202a\u202e\u2066\u2069",  # of no width, and of direction
    "\x00\x01\x1b\x7f\x85\x9f",
    "\t\n\r\x0b\x0c\x1c\u00a0\u2003\u2028\u3000",
    "\ufb01\u2460\u00bd\u210c\ufffd\ufffe\U000e0041\U0010fffd",
)
SPECIALS = ("[SEP]", "[CLS]", "[MASK]", "[PAD]", "[UNK]", "<s>", "</s>", "<mask>", "<pad>", "[sep]", "##ing", "\u2581")
_WORDS = sorted({word for text in TEXTS for word in text.split()})

_piece = st.one_of(
    st.sampled_from(_WORDS),
    st.sampled_from(_WORDS),
    st.sampled_from(SPECIALS),
    *(st.text(script, min_size=1, max_size=6) for script in _SCRIPTS),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=6),
    st.sampled_from((" " * 40, "x" * 120, "!" * 120, "\u4e2d" * 70, "\u0e2a" * 70, "good " * 70, "\u0301" * 70)),
)
MANY_SCRIPTS = st.one_of(
    st.lists(_piece, max_size=10).map(" ".join),
    st.lists(_piece, max_size=10).map("".join),
    st.characters(exclude_categories=["Cs"]),
)
