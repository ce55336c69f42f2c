"""The engine gives the labels and scores of `transformers.pipeline` for any text and architecture."""

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from hypothesis import example, given, settings
from hypothesis import strategies as st

from labelstream.workers.classifier import Request
from labelstream.workers.engine.engine import Engine
from tests.support.models import FAMILIES
from tests.support.parity import BACKENDS, assert_equal
from tests.support.unicode_texts import MANY_SCRIPTS, SPECIALS

BOTH = st.tuples(MANY_SCRIPTS, st.one_of(st.none(), st.just(""), MANY_SCRIPTS)).map(lambda texts: Request(*texts))
ODD = (
    "\U0001f468\u200d\U0001f469\u200d\U0001f467",
    "\u0301",
    "\u200b",
    "\u200d",
    "a",
    "\u0e01",
    "\u4e2d",
    "\x00",
    "\u202eabc",
    "\u0645\u0631\u062d\u0628\u0627 abc",
    " " * 10_000,
    "x" * 10_000,
    "\u0301 " * 600 + "bad",
    "\u00a0",
)
Folders = Callable[[str], Path]


@pytest.fixture(scope="module")
def ours(model_folder: Folders) -> Iterator[Callable[[str, str], Engine]]:
    made: dict[tuple[str, str], Engine] = {}

    def engine(family: str, backend: str) -> Engine:
        if (family, backend) not in made:
            made[family, backend] = Engine.load(
                str(model_folder(family)),
                device="cpu",
                dtype="float32",
                top_k=None,
                max_batch_tokens=256,
                backend=backend,
            )
        return made[family, backend]

    yield engine
    for one in made.values():
        one.close()


@cache
def oracle(folder: Path) -> Any:
    return transformers.pipeline("text-classification", str(folder), dtype=torch.float32, device="cpu")


@pytest.mark.parametrize("family", FAMILIES)
@given(requests=st.lists(BOTH, min_size=1, max_size=5))
@example(requests=[Request(text) for text in ODD])
@example(requests=[Request(f"good {special} bad", special) for special in SPECIALS])
@example(requests=[Request("", ""), Request("", " "), Request(" ", ""), Request("good", " "), Request("\x00", "\x00")])
@settings(max_examples=12, deadline=None, derandomize=True)
def test_any_text_and_pair_equals_the_pipeline(
    model_folder: Folders, ours: Callable[[str, str], Engine], family: str, requests: list[Request]
) -> None:
    pipeline = oracle(model_folder(family))
    expected = [
        pipeline({"text": text, "text_pair": pair or None}, top_k=None, truncation=True) for text, pair, *_ in requests
    ]
    for backend in BACKENDS:
        assert_equal(ours(family, backend).classify(requests), expected, 1e-5)
