"""Splits texts into two halves by a hash of their words, so that equal texts are in the same half."""

import re
from collections.abc import Sequence
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelstream.workers.evaluation.predictions import Text

MAX_COMPARED = 20_000  # texts; from there on comparing all words of both halves takes minutes
NEAR = 0.6  # share of the words of both texts
_WORD = re.compile(r"\w+")
_CHUNK = 500


def fitting_half(texts: Sequence[Text]) -> NDArray[np.bool_]:
    """[n] bool: whether each text is in the half on which values are fitted; the other half judges the values.

    Texts with the same words are in the same half: case, punctuation and the order of words and of a pair do not count.
    """
    return np.array([blake2b(_key(text), digest_size=1).digest()[0] < 128 for text in texts], np.bool_)


def near_duplicates(texts: Sequence[Text], fitting: NDArray[np.bool_]) -> int | None:
    """How many texts of the judging half share at least `NEAR` of their words with a text of the fitting half.

    The share is that of the words that both texts have among all words of the two. None for more than `MAX_COMPARED`
    texts.
    """
    if len(texts) > MAX_COMPARED:
        return None
    from scipy.sparse import csr_array

    words = [_words(text) or {" ".join(filter(None, text))} for text in texts]
    places = {word: i for i, word in enumerate(set().union(*words))}
    sizes = np.array([len(found) for found in words])
    columns = [places[word] for found in words for word in found]
    starts = np.concatenate([[0], np.cumsum(sizes)])
    table: Any = csr_array((np.ones(len(columns), np.int32), columns, starts), shape=(len(texts), len(places)))
    fitted, judged = np.flatnonzero(fitting), np.flatnonzero(~fitting)
    count = 0
    for first in range(0, len(judged), _CHUNK) if len(fitted) else ():
        rows = judged[first : first + _CHUNK]
        common = (table[rows] @ table[fitted].T).toarray()
        union = sizes[rows][:, None] + sizes[fitted][None] - common
        count += int((common >= NEAR * union).any(1).sum())
    return count


def _key(text: Text) -> bytes:
    words = _words(text)  # texts without a word, such as emojis, are spread by their characters
    return "\n".join(sorted(words) if words else sorted(filter(None, text))).encode("utf-8", "surrogatepass")


def _words(text: Text) -> set[str]:
    return {word for part in text if part for word in _WORD.findall(part.casefold())}
