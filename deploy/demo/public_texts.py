"""Public labeled texts: their sources, and the part that no model may be trained on.

None of these texts is in this repository.
"""

import hashlib
import json
import math
import tarfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from labelstream.deploy.demo.corpus import LABELS, normalized

SENTENCES = "https://archive.ics.uci.edu/dataset/331/sentiment+labelled+sentences"  # CC BY 4.0
RATED = "https://pypi.org/project/vaderSentiment/3.3.2/#files"  # MIT: the .tar.gz
RATED_FILES = ("movieReviewSnippets_GroundTruth.txt", "amazonReviewSnippets_GroundTruth.txt")
HELD_BACK_OF = 3  # one of this many
NEAR = 0.6  # share of common words from which two texts are near duplicates
RATING_SCALE = 1.5
Soft = tuple[str, float]  # a text and the probability that it is positive


def read_sentences(path: Path) -> list[tuple[str, str]]:
    """(text, label) of each line of a file of `{"text", "label"}` lines, or of each of UCI's files in a folder.

    UCI's lines are `text<tab>1` or `0`.
    """
    if path.is_dir():
        lines = [line for file in sorted(path.glob("*_labelled.txt")) for line in file.read_text("utf-8").split("\n")]
        pairs = [line.rsplit("\t", 1) for line in lines if "\t" in line]
        return [(text.strip(), LABELS[int(label)]) for text, label in pairs]
    rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    return [(row["text"], row["label"]) for row in rows]


def read_rated(path: Path) -> list[Soft]:
    """Rated review snippets and words of vaderSentiment's sdist: people's mean rating, -4 to 4, as a probability."""
    with tarfile.open(path) as sdist:
        words = [line.split("\t")[:2] for line in _lines(sdist, "vader_lexicon.txt")]
        [inner] = [member for member in sdist.getmembers() if member.name.endswith("hutto_ICWSM_2014.tar.gz")]
        with tarfile.open(fileobj=sdist.extractfile(inner)) as archive:
            snippets = [line.split("\t", 2) for name in RATED_FILES for line in _lines(archive, name)]
    rated = [(text.strip(), rating) for _, rating, text in snippets]
    rated += [(word, rating) for word, rating in words if word.isalpha()]
    return [(text, 1 / (1 + math.exp(-RATING_SCALE * float(rating)))) for text, rating in rated]


def _lines(archive: tarfile.TarFile, name: str) -> list[str]:
    [member] = [member for member in archive.getmembers() if Path(member.name).name == name]
    file = archive.extractfile(member)
    assert file is not None, f"{name} is not a file"
    return file.read().decode("utf-8", "replace").splitlines()


def held_back(text: str) -> bool:
    """Whether no model may be trained on this sentence; depends on its words only."""
    return int(hashlib.sha256(normalized(text).encode()).hexdigest()[:8], 16) % HELD_BACK_OF == 0


def split(sentences: Sequence[tuple[str, str]]) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """Sentences for training, without near duplicates of held-back ones, and sentences held back."""
    held = [row for row in sentences if held_back(row[0])]
    learned = [row for row in sentences if not held_back(row[0])]
    near = near_any([text for text, _ in learned], [text for text, _ in held])
    return [row for row, is_near in zip(learned, near, strict=True) if not is_near], held


def near_any(texts: Sequence[str], others: Sequence[str]) -> list[bool]:
    """For each text, whether any of `others` is a near duplicate: (nearly) the same words in any order."""
    words = {word: index for index, word in enumerate(sorted({word for text in others for word in _words(text)}))}
    of_others = _rows(others, words)
    sizes, found = of_others.sum(axis=1), list[bool]()
    for start in range(0, len(texts), 1000):
        chunk = texts[start : start + 1000]
        common = _rows(chunk, words) @ of_others.T
        union = np.array([[len(_words(text))] for text in chunk]) + sizes - common
        found += (common >= NEAR * union).any(axis=1).tolist()
    return found


def _words(text: str) -> set[str]:
    return set(normalized(text).split())


def _rows(texts: Sequence[str], words: dict[str, int]) -> np.ndarray:
    """A row for each text, with a 1 for each of `words` in the text."""
    rows = np.zeros((len(texts), len(words)), np.float32)
    for row, text in zip(rows, texts, strict=True):
        row[[words[word] for word in _words(text) if word in words]] = 1
    return rows
