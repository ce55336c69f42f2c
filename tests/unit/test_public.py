"""What `import labelstream` gives: lazily, with types, and as its examples say."""

import doctest
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from fastapi import FastAPI

import labelstream
from labelstream import Answer, Answered, Embedding, Engine, Fill, MaskFill, Prediction, RecordError, Request
from labelstream.deploy.gateway.dialects.own import router
from labelstream.deploy.gateway.envelopes import Envelopes
from labelstream.workers import classifier
from labelstream.workers.engine import engine as engine_module
from labelstream.workers.engine.options import ModelOptions
from tests.support.gateway import EngineServed, serving

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/reference/python.md"


@pytest.fixture
def in_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the examples find the demo's model."""
    monkeypatch.chdir(ROOT)


def labels_of(answers: list[Answer]) -> list[str]:
    """As a program would read answers; pyright checks it."""
    best: list[str] = []
    for answer in answers:
        if isinstance(answer, RecordError):
            best.append(answer.fault.value)
        elif isinstance(answer, Prediction):
            best.append(answer.labels[0])
    return best


def test_typed_program_reads_answers(in_checkout: None) -> None:
    with Engine.load("deploy/demo/model", device="cpu") as engine:
        answers = engine.classify(["It works well", Request("It broke", top_k=1), Request("It broke", top_k=0)])
        assert labels_of(answers) == ["POSITIVE", "NEGATIVE", "invalid_message"]
        assert [isinstance(answer, Answered) for answer in answers] == [True, True, False]
        assert engine.classify([]) == []


def test_import_brings_nothing_until_it_is_used() -> None:
    program = (
        "import sys, labelstream\n"
        "assert set(labelstream.__all__) <= set(dir(labelstream))\n"
        "assert not [name for name in sys.modules if name.startswith('labelstream.')]\n"
        "from labelstream import AsyncClient, Client, Prediction, Request, RecordError, ModelError\n"
        "print(sorted({'torch', 'transformers', 'ray', 'kafka', 'numpy', 'pydantic'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=120)
    assert (done.stdout.strip(), done.stderr) == ("[]", "")


@pytest.mark.parametrize("name", labelstream.__all__)
def test_name_is_there_and_stays_the_same(name: str) -> None:
    assert getattr(labelstream, name) is getattr(labelstream, name)


def test_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match=r"module 'labelstream' has no attribute 'Engin'"):
        getattr(labelstream, "Engin")  # noqa: B009 - pyright refuses the plain one, as it should


def test_page_lists_what_is_public() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert [name for name in labelstream.__all__ if not re.search(rf"\b{name}\b", page)] == []


@pytest.mark.parametrize("kind", [Request, Prediction, MaskFill, Fill, Embedding, RecordError])
def test_page_has_each_field_with_its_default(kind: Any) -> None:
    rows = re.findall(r"^\| (`.*?) \| .*? \|(?: (`.*?`))? \| .*\|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    listed = {(name, default.strip("`")) for names, default in rows for name in re.findall(r"`(\w+)`", names)}
    fields = {(name, repr(kind._field_defaults[name]) if name in kind._field_defaults else "") for name in kind._fields}
    assert fields - listed == set()


def test_page_names_every_option() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert [name for name in ModelOptions.model_fields if f"`{name}`" not in page] == []


def test_page_examples_use_every_public_name() -> None:
    examples = "".join(
        re.findall(r"^>>> from labelstream import (.*)$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    )
    assert [name for name in labelstream.__all__ if name not in examples and name != "Answer"] == []


@pytest.fixture
def gateway(in_checkout: None) -> Iterator[str]:
    """The address of a gateway with the demo's model."""
    app = FastAPI()
    with Engine.load("deploy/demo/model", device="cpu") as engine:
        Envelopes(app).mount([router(EngineServed({"sentiment": engine}))])
        with serving(app) as url:
            yield url


def test_page_examples_run(gateway: str) -> None:
    page = PAGE.read_text(encoding="utf-8").replace("http://localhost:8000", gateway)
    blocks = re.findall(r"^```pycon\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    example = doctest.DocTestParser().get_doctest("".join(blocks), {}, PAGE.name, str(PAGE), 0)
    assert len(example.examples) > 10
    assert doctest.DocTestRunner(verbose=False, optionflags=doctest.ELLIPSIS).run(example).failed == 0


@pytest.mark.parametrize("module", [classifier, engine_module], ids=lambda module: module.__name__)
def test_docstring_examples_run(module: ModuleType, in_checkout: None) -> None:
    results = doctest.testmod(module)
    assert results.attempted > 0
    assert results.failed == 0
