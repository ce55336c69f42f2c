"""A hub on loopback that has one model under the name that a page gives it: a small one that stands in for it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from tests.support.command import ROOT
from tests.support.fake_hub import Hub, serving
from tests.support.models import build

NLI_LABELS = ("ENTAILMENT", "NEUTRAL", "CONTRADICTION")
STEPS = 120


class ZeroShot(NamedTuple):
    """What a stand-in for an NLI model must know: the page's texts, each with its label."""

    template: str
    labels: tuple[str, ...]
    texts: dict[str, str]


@contextmanager
def serving_model(name: str, folder: Path, knows: ZeroShot | None) -> Iterator[dict[str, str]]:
    """Gives the environment in which the hub has the model `name`: the demo's, or one for zero-shot."""
    model = ROOT / "deploy" / "demo" / "model" if knows is None else _nli_model(folder / "model", knows)
    with serving(Hub(name, model)) as address:
        caches = {
            "HF_HOME": str(folder / "cache"),
            "HF_ASSETS_CACHE": str(folder / "assets"),
        }  # both know a model by name
        yield {"HF_ENDPOINT": address, "HF_HUB_DISABLE_XET": "1", **caches}


def _nli_model(folder: Path, knows: ZeroShot) -> Path:
    """A tiny model that has learned by heart which hypotheses follow from which texts."""
    build(folder, labels=NLI_LABELS)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForSequenceClassification.from_pretrained(folder).train()
    pairs = [(text, label, label == right) for text, right in knows.texts.items() for label in knows.labels]
    hypotheses = [knows.template.format(label) for _, label, _ in pairs]
    inputs = tokenizer([text for text, _, _ in pairs], hypotheses, padding=True, truncation=True, return_tensors="pt")
    wanted = torch.tensor([0 if follows else 2 for _, _, follows in pairs])
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # more of them wait for each other on steps this small
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
        for _ in range(STEPS):
            optimizer.zero_grad()
            model(**inputs, labels=wanted).loss.backward()
            optimizer.step()
    torch.set_num_threads(threads)
    model.eval().save_pretrained(folder)
    return folder
