"""Public texts: how they are read, and what is held back from the training."""

import io
import json
import tarfile
from pathlib import Path

import pytest

from labelstream.deploy.demo.public_texts import RATED_FILES, held_back, near_any, read_rated, read_sentences, split

SENTENCES = [(f"Review number {index} of thing {index * 7} here", "POSITIVE") for index in range(300)]


def add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(data)
    archive.addfile(member, io.BytesIO(data))


def test_sentences_are_read_from_json_lines(tmp_path: Path) -> None:
    path = tmp_path / "sentences.jsonl"
    path.write_text(json.dumps({"text": "Fine.", "label": "POSITIVE", "source": "shop"}) + "\n", "utf-8")
    assert read_sentences(path) == [("Fine.", "POSITIVE")]


def test_sentences_are_read_from_the_published_folder(tmp_path: Path) -> None:
    (tmp_path / "readme.txt").write_text("no\tsentence\n", "utf-8")
    (tmp_path / "imdb_labelled.txt").write_text("Too long\x85 and dull.  \t0\nWell made.\t1\n", "utf-8")
    assert read_sentences(tmp_path) == [("Too long\x85 and dull.", "NEGATIVE"), ("Well made.", "POSITIVE")]


def test_ratings_become_probabilities(tmp_path: Path) -> None:
    inner = io.BytesIO()
    with tarfile.open(fileobj=inner, mode="w:gz") as archive:
        for name in RATED_FILES:
            add(archive, f"hutto/{name}", b"1\t2.0\tA joy .\n2\t0.0\tIt has a lid.\n")
    path = tmp_path / "sdist.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        add(archive, "package/hutto_ICWSM_2014.tar.gz", inner.getvalue())
        add(archive, "package/vader_lexicon.txt", b"awful\t-2.0\t0.9\t[]\n:-)\t1.3\t0.5\t[]\n")
    rated = read_rated(path)
    assert [text for text, _ in rated] == ["A joy .", "It has a lid."] * 2 + ["awful"]
    assert [positive for _, positive in rated] == pytest.approx([0.953, 0.5, 0.953, 0.5, 0.047], abs=1e-3)


def test_split_holds_a_third_back_by_the_words_alone() -> None:
    learned, held = split(SENTENCES)
    assert len(learned) + len(held) <= len(SENTENCES)
    assert 70 <= len(held) <= 130
    assert held_back("GREAT phone!!") == held_back("great, phone")


def test_split_learns_from_no_near_duplicate_of_what_is_held_back() -> None:
    [(text, label), *_] = split(SENTENCES)[1]
    variants = [(f"{text} {word}", label) for word in ("very", "really", "so", "quite", "truly")]
    learned, _ = split([(text, label), *variants])
    assert learned == []


def test_near_is_what_shares_most_words() -> None:
    texts = ["I love this phone!!!", "this phone, I love", "I love this place and its food", "Dreadful.", ""]
    assert near_any(texts, ["I love this phone."]) == [True, True, False, False, False]
