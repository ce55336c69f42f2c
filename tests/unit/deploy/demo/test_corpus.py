"""The sentences that the demo's model is measured on, beside those that it learns from."""

from labelstream.deploy.demo.corpus import LABELS, normalized
from labelstream.deploy.demo.make_model import HANDWRITTEN, own_texts
from labelstream.deploy.demo.public_texts import read_sentences


def test_hand_written_sentences_are_balanced_and_unseen() -> None:
    sentences = read_sentences(HANDWRITTEN)
    labels = [label for _, label in sentences]
    assert len({normalized(text) for text, _ in sentences}) == len(sentences) >= 100
    assert set(labels) == set(LABELS)
    assert labels.count("POSITIVE") * 2 == len(labels)
    seen = {normalized(text) for text, _ in own_texts()}
    assert [text for text, _ in sentences if normalized(text) in seen] == []
