"""Labeled texts as a file or topic has them, before a model's labels give their labels a meaning."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any, NamedTuple

from labelstream.workers.evaluation.predictions import Text


class Examples(NamedTuple):
    """n labeled texts in their order.

    `gold`: their labels as read: strings, numbers, or lists of these. `places`: where each text stands, such as
    `reviews.csv:7`. `left_out`: place and reason of each text that cannot be evaluated.
    """

    texts: Sequence[Text]
    gold: Sequence[Any]
    places: Sequence[str]
    left_out: Sequence[str] = ()


class Duplicates(NamedTuple):
    """`texts`: distinct texts that occur more than once, in `rows` rows. `contradicting`: those with several labels."""

    texts: int
    rows: int
    contradicting: int


def duplicates_of(texts: Sequence[Text], gold: Sequence[Any]) -> Duplicates:
    """Count equal texts (with equal pairs). `gold`: one value per text, compared by its `repr`."""
    found: defaultdict[Text, list[Any]] = defaultdict(list)
    for text, label in zip(texts, gold, strict=True):
        found[text].append(label)
    repeated = [labels for labels in found.values() if len(labels) > 1]
    contradicting = sum(len(set(map(repr, labels))) > 1 for labels in repeated)
    return Duplicates(len(repeated), sum(map(len, repeated)), contradicting)
