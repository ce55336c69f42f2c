"""Decoders find a text's last token by the padding id, and the scores equal the pipeline's."""

from pathlib import Path
from typing import Any

import pytest

from labelstream.workers.classifier import Request
from labelstream.workers.engine.engine import Engine
from labelstream.workers.engine.loading.padding import pad_id_of
from tests.support.decoders import END, build_decoder
from tests.support.parity import assert_equal, oracle

TEXTS = ["good", "a longer text that pads the first one by a good number of tokens", f"good{END}", "not bad" + 2 * END]


class Config:
    """`pad`: its pad_token_id, of a vocabulary of ten."""

    vocab_size = 10

    def __init__(self, pad: int | None) -> None:
        self.pad_token_id = pad

    def get_text_config(self) -> "Config":
        return self


class Tokens:
    """A tokenizer with `known` ids; every text ends with the id `last`."""

    bos_token_id = eos_token_id = None

    def __init__(self, known: int, last: int, pad: int | None = None, unk: int | None = None) -> None:
        self._known, self._last, self.pad_token_id, self.unk_token_id = known, last, pad, unk

    def get_vocab(self) -> dict[str, int]:
        return {str(i): i for i in range(self._known)}

    def __call__(self, text: str) -> dict[str, list[int]]:
        return {"input_ids": [1, self._last]}


@pytest.mark.parametrize(
    ("config", "tokens", "expected"),
    [
        (Config(5), Tokens(8, 3, 4), 5),
        (Config(0), Tokens(8, 3, 4), 0),
        (Config(-1), Tokens(8, 3, 4), 8),
        (Config(10), Tokens(10, 3, 4), 4),
        (Config(None), Tokens(8, 3, 4), 8),
        (Config(None), Tokens(10, 3, 4), 4),
        (Config(None), Tokens(10, 4, 4, 2), 2),
        (Config(None), Tokens(10, 3), 0),
        (Config(None), Tokens(10, 0), 1),
    ],
)
def test_pad_id_is_the_configs_or_ends_no_text(config: Any, tokens: Any, expected: int) -> None:
    assert pad_id_of(config, tokens) == expected


@pytest.mark.parametrize("kind", ["GPT2", "Llama", "Qwen2", "Mistral"])
@pytest.mark.parametrize("spare", [0, 3])
def test_decoder_without_pad_id_equals_the_pipeline(tmp_path: Path, kind: str, spare: int) -> None:
    check(build_decoder(tmp_path / "model", kind, spare=spare), TEXTS if spare else TEXTS[:2], "torch")


@pytest.mark.parametrize("how", [{"config_pad": 5}, {"pad": None}, {"pad": None, "spare": 1}])
@pytest.mark.parametrize("backend", ["torch", "auto"])
def test_decoder_with_other_pad_ids_equals_the_pipeline(tmp_path: Path, how: dict[str, Any], backend: str) -> None:
    check(build_decoder(tmp_path / "model", "GPT2", **how), TEXTS[:2], backend)


def check(folder: Path, texts: list[str], backend: str) -> None:
    expected = [row for text in texts for row in oracle(folder, [text])]
    with Engine.load(str(folder), device="cpu", dtype="float32", backend=backend, top_k=None) as engine:
        assert_equal(engine.classify([Request(text) for text in texts]), expected, 1e-5)
