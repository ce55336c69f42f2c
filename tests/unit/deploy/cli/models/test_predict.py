"""`labelstream predict` prints what `labelstream classify` prints for the same model."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from labelstream.deploy.cli.common.arguments import DEMO_MODEL
from labelstream.deploy.gateway.dialects.own import router
from labelstream.deploy.gateway.envelopes import Envelopes
from labelstream.workers.engine.engine import Engine
from tests.support.gateway import EngineServed, serving
from tests.support.models import build
from tests.unit.deploy.cli.conftest import Run, fails

NLI = ("entailment", "neutral", "contradiction")


@pytest.fixture(scope="module")
def nli(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(build(tmp_path_factory.mktemp("nli"), labels=NLI))


@pytest.fixture(scope="module")
def url(nli: str) -> Iterator[str]:
    """A gateway with the demo's model and one for zero-shot, which wants a token."""
    app = FastAPI()
    with Engine.load(DEMO_MODEL) as demo, Engine.load(nli, task="zero-shot-classification") as zero_shot:
        Envelopes(app).mount([router(EngineServed({"sentiment": demo, "nli": zero_shot}))])

        @app.middleware("http")
        async def check(request: Request, call_next: Callable) -> object:
            if request.headers.get("authorization") == "Bearer secret":
                return await call_next(request)
            return JSONResponse({"error": "no token; send the header Authorization"}, 401)

        with serving(app) as found:
            yield found


@pytest.fixture(autouse=True)
def token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABELSTREAM_HTTP__TOKEN", "secret")


def test_predict_prints_what_classify_prints(run: Run, url: str, tmp_path: Path) -> None:
    file = tmp_path / "texts.csv"
    file.write_text("id,text\n1,It broke after a week\n2,\n3,Works well\n")
    wanted, found = run("classify", "-i", str(file), "-k", "2"), run("predict", "-u", url, "-i", str(file), "-k", "2")
    assert found.out == wanted.out
    assert found.code == wanted.code == 1
    assert found.err.splitlines() == wanted.err.splitlines()[1:]  # which names model and revision first


def test_predict_sends_the_options_of_a_row(run: Run, url: str, nli: str, tmp_path: Path) -> None:
    file = tmp_path / "texts.csv"
    file.write_text('text,candidate_labels,top_k\nIt broke,"[""one"", ""two""]",2\nIt broke,,\nIt broke,"[]",\n')
    options = ("-i", str(file), "-l", "three", "--json")
    wanted, found = run("classify", "-m", nli, *options), run("predict", "-u", url, "-m", "nli", *options)
    assert found.out == wanted.out
    first, second, third = map(json.loads, found.out.splitlines())
    assert [{one["label"] for one in answer["scores"]} for answer in (first, second)] == [{"one", "two"}, {"three"}]
    assert third["error"] == "invalid_labels"


def test_predict_writes_json_and_files(run: Run, url: str, tmp_path: Path) -> None:
    (answer,) = map(json.loads, run("predict", "-u", url, "-m", "sentiment", "--json", "It broke").out.splitlines())
    assert (answer["text"], answer["label"], len(answer["scores"])) == ("It broke", "NEGATIVE", 1)
    output = tmp_path / "out.csv"
    ended = run("predict", "-u", url, "It broke", "Works well", "-o", str(output))
    assert (ended.code, ended.err) == (0, f"2 texts classified, written to {output}\n")
    assert [line.split(",")[1] for line in output.read_text().splitlines()] == ["label", "NEGATIVE", "POSITIVE"]


def test_predict_with_labels_is_zero_shot(run: Run, url: str) -> None:
    arguments = ("good", "-l", "one", "-l", "two", "--template", "So {}.", "-k", "2", "--json")
    (answer,) = map(json.loads, run("predict", "-u", url, "-m", "nli", *arguments).out.splitlines())
    assert {score["label"] for score in answer["scores"]} == {"one", "two"}


def test_token_comes_from_a_file(run: Run, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LABELSTREAM_HTTP__TOKEN")
    fails(run("predict", "-u", url, "good"), 1, "401: no token; send the header Authorization")
    file = tmp_path / "token"
    file.write_text("secret\n")
    assert run("predict", "-u", url, "good", "--token-file", str(file)).code == 0
    fails(run("predict", "-u", url, "good", "--token-file", str(tmp_path / "none")), 2, "--token-file: ")


@pytest.mark.parametrize(
    ("arguments", "code", "problem"),
    [
        (("-m", "other"), 1, "404: no model other; the models are sentiment, nli"),
        (("--template", "So {}."), 2, "--template: is for zero-shot"),
        (("--ca-file", "/no/such/file"), 2, "--ca-file: /no/such/file cannot be read"),
        (("-i", "file"), 2, "--input: unexpected beside texts"),
    ],
)
def test_predict_names_what_is_wrong(run: Run, url: str, arguments: tuple[str, ...], code: int, problem: str) -> None:
    fails(run("predict", "good", "-u", url, *arguments), code, problem)


def test_predict_names_a_missing_gateway(run: Run) -> None:
    fails(run("predict", "good", "-u", "http://127.0.0.1:1", "--timeout", "0.2"), 1, "http://127.0.0.1:1: no gateway")
    fails(run("predict", "good", "-u", "127.0.0.1:8000"), 2, "--url: url '127.0.0.1:8000' is no address")
