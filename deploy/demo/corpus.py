"""The demo model's training text: customer feedback from templates and word lists, without outside data.

The lists are in the folder `text`; words.yaml and templates.yaml describe their format. Most templates and all neutral
words serve praise and blame alike, so that the two sides differ only in words that carry the sentiment.
"""

import random
import re
from functools import cache
from itertools import accumulate
from pathlib import Path
from typing import Any

import yaml

LABELS = ("NEGATIVE", "POSITIVE")
Weighted = tuple[list[str], list[int]]  # entries and the running sums of their weights
_SLOT = re.compile(r"\{([^{}]+)\}|\[([^\[\]]+)\]")
_PAIR = re.compile(r"<([^<>]*?) :: ([^<>]*?)>")
# Probabilities: where a clause comes from, the templates or a domain's events and pairs.
_SHAPES = {
    "plain": 0.14,
    "negation": 0.10,
    "nouns": 0.06,
    "does": 0.06,
    "does not": 0.06,
    "event": 0.15,
    "pair": 0.42,
    "closing": 0.05,
}
_SHORT_FORMS = (
    (r"\bcan not\b", ("can't", "cannot")),
    (r"\b(did|does|do|is|was|were|has|have|could|would) not\b", (r"\1n't",)),
    (r"\bwill not\b", ("won't",)),
    (r"\bi am\b", ("i'm",)),
    (r"\bi have\b", ("i've",)),
    (r"\bit is\b", ("it's",)),
)


def _load(name: str) -> dict[str, Any]:
    return yaml.safe_load((Path(__file__).parent / "text" / f"{name}.yaml").read_text("utf-8"))


def _entries(text: str) -> list[str]:
    return [" ".join(entry.split()) for entry in text.split("|")]


def _weighted(entries: list[str]) -> Weighted:
    """Entries, weighted by their number of alternatives, so that all alternatives appear about equally often."""
    return entries, list(accumulate(1 + entry.count("/") for entry in entries))


@cache
def _templates() -> dict[str, dict[str, list[str]]]:
    """The clause templates of each side, "+" and "-", and the other subjects under "subjects"."""
    tables = {
        part: {name: _entries(text) for name, text in table.items()} for part, table in _load("templates").items()
    }
    both = tables["both"]
    return {"+": both | tables["praise"], "-": both | tables["blame"], "subjects": tables["subjects"]}


@cache
def _lists() -> dict[str, dict[str, Weighted]]:
    """All word lists: the general ones under "", a domain's own ones under its name."""
    tables = {
        domain: {name: _entries(text) for name, text in table.items()} for domain, table in _load("scenes").items()
    }
    tables[""] = {name: _entries(text) for name, text in _load("words").items()}
    for domain, text in _load("pairs").items():
        for side, group in (("+", r"[\1]"), ("-", r"[\2]")):
            pairs = tables["" if domain in ("general", "everyday") else domain].setdefault("pair" + side, [])
            pairs += [_PAIR.sub(group, line) for line in text.splitlines()]
    for side in "+-":
        verbs = [[word.replace("_", " ") for word in entry.split()] for entry in tables[""].pop(f"verbs{side}")]
        for name, forms in zip(("base", "3", "past", "part", "ing"), zip(*verbs, strict=True), strict=True):
            tables[""][name + side] = list(forms)
    return {domain: {name: _weighted(entries) for name, entries in table.items()} for domain, table in tables.items()}


class _Writer:
    """Writes sentences of one domain and side at a time. All randomness comes from the given generator."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng

    def clause(self, domain: str, side: str) -> str:
        shape = self.rng.choices(list(_SHAPES), list(_SHAPES.values()))[0]
        templates = _templates()[side].get(shape, [f"{{{shape}@}}"])
        text = self.fill(self.rng.choice(templates), domain, side)
        if self.rng.random() < 0.4:
            text = self._other_subject(text, domain, side)
        if self.rng.random() < 0.12:
            text += " " + self.fill("{aside}", domain, side)
        return text

    def _other_subject(self, text: str, domain: str, side: str) -> str:
        """The clause with another beginning or none, so that its first words carry little information."""
        first, _, rest = text.partition(" ")
        others = _templates()["subjects"].get(first)
        return self.fill(self.rng.choice(others), domain, side) + " " + rest if others and rest else text

    def fill(self, template: str, domain: str, side: str) -> str:
        """The template with all its slots filled, inner slots first."""
        while match := _SLOT.search(template):
            template = template[: match.start()] + self._slot(match, domain, side) + template[match.end() :]
        return template

    def _slot(self, match: re.Match[str], domain: str, side: str) -> str:
        if match[2] is not None:
            return self.rng.choice(match[2].split("/"))
        other = "-" if side == "+" else "+"
        name = match[1].replace("@", side).replace("~", other)
        if name[:-1] == "clause":
            return self.clause(domain, name[-1])
        general, own = _lists()[""].get(name), _lists()[domain].get(name)
        choices = own if own and (not general or self.rng.random() < 0.5) else general
        assert choices is not None, f"no list named {name}"
        # A list of the other side may have slots with a side of their own: fill these for that side.
        chosen = self.rng.choices(choices[0], cum_weights=choices[1])[0]
        return self.fill(chosen, domain, name[-1] if name[-1] in "+-" else side)

    def sentence(self, domain: str, side: str) -> str:
        """One piece of feedback: one or two clauses, sometimes with a neutral beginning, a contrast or a closing."""
        kind = self.rng.random()
        if kind < 0.13:
            text = self.fill(self.rng.choice(_templates()[side]["contrast"]), domain, side)
        elif kind < 0.17:
            text = self.fill(self.rng.choice(_templates()[side]["hopes"]), domain, side)
        else:
            text = self.clause(domain, side)
        chance = self.rng.random()
        if chance < 0.15:
            text += self.rng.choice((" . ", " and ", " , ", " ! ")) + self.clause(domain, side)
        elif chance < 0.19:
            text += " . " + self.fill("{closing@}", domain, side)
        if self.rng.random() < 0.12:
            text = self.fill("{neutral}", domain, side) + self.rng.choice((" . ", " and ", " , ")) + text
        return self._polish(text)

    def _polish(self, text: str) -> str:
        """Short forms, `an` before vowels, and an end mark, as people write."""
        for long, shorts in _SHORT_FORMS:
            if self.rng.random() < 0.6:
                text = re.sub(long, self.rng.choice(shorts), text)
        text = re.sub(r"\ba (?=[aeiou])", "an ", text)
        text = re.sub(r" (?=[.,!?])", "", " ".join(text.split()))
        return text + self.rng.choice((".", ".", "", "!"))


def normalized(text: str) -> str:
    """The words of the text; two sentences are equal if their words are."""
    return " ".join(re.findall(r"[a-z0-9']+", text.lower()))


def corpus(size: int, seed: int) -> list[tuple[str, int]]:
    """`size` different sentences with their label's index in LABELS, half of each label, domains in turn."""
    writer, found = _Writer(random.Random(seed)), dict[str, tuple[str, int]]()
    domains = [name for name in _lists() if name]
    while len(found) < size:
        label = len(found) % 2
        domain = domains[len(found) // 2 % len(domains)]
        text = writer.sentence(domain, "-+"[label])
        found.setdefault(normalized(text), (text, label))
    return list(found.values())
