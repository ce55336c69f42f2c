"""Every task from topic to topic: a real model, a real broker, and the payloads' schema."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import torch
import transformers

from labelstream.schemas.export import json_schema
from labelstream.workers.engine.engine import Engine
from tests.integration.conftest import MakeTopic, StartWorker
from tests.kafka import Broker
from tests.support.models import TEXTS, build
from tests.support.streams import Topics, produce, read_letters, read_results, wait_until

MakeEngine = Callable[..., Engine]
INTENTS = ("refund", "delivery", "praise")


@pytest.fixture
def make_engine(tmp_path: Path) -> Iterator[MakeEngine]:
    """make_engine(labels, options={}, **config) builds and loads a small model."""
    made: list[Engine] = []

    def make(labels: tuple[str, ...], options: dict[str, Any] | None = None, **config: Any) -> Engine:
        folder = build(tmp_path / f"model-{len(made)}", "bert", labels=labels, **config)
        made.append(Engine.load(str(folder), device="cpu", dtype="float32", **(options or {})))
        return made[-1]

    yield make
    for engine in made:
        engine.close()


@pytest.fixture
def classify(kafka: Broker, make_topic: MakeTopic, start_worker: StartWorker) -> Callable[..., list[dict[str, Any]]]:
    """classify(engine, messages): the result of each message, in order."""

    def run(engine: Engine, messages: list[dict[str, Any]], **pipeline: Any) -> list[dict[str, Any]]:
        topics = Topics(make_topic(2), make_topic(2), make_topic())
        produce(
            kafka.bootstrap,
            topics.input,
            [(None, json.dumps({"id": i, **message}).encode()) for i, message in enumerate(messages)],
        )
        start_worker(topics, engine, **pipeline)
        results = read_results(kafka.bootstrap, topics.output, len(messages))
        for result in results:
            jsonschema.validate(result, json_schema("result"))
        return sorted(results, key=lambda result: result["id"])

    return run


def pipeline_of(engine: Engine, task: str = "text-classification") -> Any:
    make: Any = transformers.pipeline
    return make(task, engine.description.source, dtype=torch.float32, device="cpu")


def scores_of(result: dict[str, Any]) -> dict[str, float]:
    return {entry["label"]: entry["score"] for entry in result["scores"]}


@pytest.mark.parametrize(
    ("labels", "config"),
    [
        (("NEGATIVE", "POSITIVE"), {}),
        (INTENTS, {"problem_type": "multi_label_classification"}),
        (("stars",), {"problem_type": "regression"}),
        (("toxic",), {}),
    ],
    ids=["single-label", "multi-label", "regression", "single-logit"],
)
def test_classification_of_texts_and_pairs(
    make_engine: MakeEngine, classify: Any, labels: tuple[str, ...], config: Any
) -> None:
    engine = make_engine(labels, {"top_k": None}, **config)
    texts = [{"text": text} for text in TEXTS]
    pairs = [{"text": text, "text_pair": other} for text, other in zip(TEXTS, reversed(TEXTS), strict=True)]
    results = classify(engine, texts + pairs)
    for message, result in zip(texts + pairs, results, strict=True):
        expected = pipeline_of(engine)(message, top_k=None, truncation=True)
        assert scores_of(result) == pytest.approx({e["label"]: e["score"] for e in expected}, abs=1e-5)
        independent = len(labels) == 3 or labels == ("toxic",)
        reached = [e["label"] for e in expected if e["score"] >= 0.5] if independent else [expected[0]["label"]]
        assert (result["labels"], result["abstained"]) == (reached, not reached)


def test_zero_shot_labels_from_config_and_message(make_engine: MakeEngine, classify: Any) -> None:
    nli = ("contradiction", "neutral", "entailment")
    engine = make_engine(nli, {"task": "zero-shot-classification", "candidate_labels": INTENTS, "top_k": None})
    messages: list[dict[str, Any]] = [{"text": text} for text in TEXTS[:4]]
    own = {"candidate_labels": ["a", "b{}"], "hypothesis_template": "It is {}.", "multi_label": True}
    messages += [{"text": text, **own} for text in TEXTS[4:8]]
    oracle = pipeline_of(engine, "zero-shot-classification")
    for message, result in zip(messages, classify(engine, messages), strict=True):
        asked = {name: value for name, value in message.items() if name != "text"}
        expected = oracle(message["text"], **{"candidate_labels": list(INTENTS), **asked})
        assert result["task"] == "zero-shot-classification"
        assert scores_of(result) == pytest.approx(
            dict(zip(expected["labels"], expected["scores"], strict=True)), abs=1e-5
        )


def test_long_text_is_classified_in_windows(make_engine: MakeEngine, classify: Any) -> None:
    engine = make_engine(INTENTS, {"long_text": "windows", "max_windows": 4})
    short, long, longest = classify(engine, [{"text": "good"}, {"text": "good " * 150}, {"text": "good " * 500}])
    assert [result["truncated"] for result in (short, long, longest)] == [False, False, True]
    assert short["tokens"] == 3
    assert 150 < long["tokens"] < 300


def test_masked_model_fills_masks_and_embeds(make_engine: MakeEngine, classify: Any) -> None:
    """One masked language model serves both tasks."""
    texts = [*(f"{text} [MASK]" for text in TEXTS), "[MASK] and [MASK]"]
    messages = [{"text": text} for text in texts]
    filling = make_engine(INTENTS, {"task": "fill-mask", "top_k": 3}, architecture="ForMaskedLM")
    oracle = pipeline_of(filling, "fill-mask")
    for text, result in zip(texts, classify(filling, messages), strict=True):
        expected = oracle(text, top_k=3)
        expected = expected if isinstance(expected[0], list) else [expected]
        assert result["task"] == "fill-mask"
        for fills, wanted in zip(result["masks"], expected, strict=True):
            assert [(fill["token"], fill["token_id"]) for fill in fills] == [
                (entry["token_str"], entry["token"]) for entry in wanted
            ]
            assert [fill["score"] for fill in fills] == pytest.approx([entry["score"] for entry in wanted], abs=1e-5)
    embedding = make_engine(INTENTS, {"task": "feature-extraction"}, architecture="ForMaskedLM")
    oracle = pipeline_of(embedding, "feature-extraction")
    for text, result in zip(texts, classify(embedding, messages), strict=True):
        assert result["embedding"] == pytest.approx(torch.tensor(oracle(text)[0]).mean(0).tolist(), abs=1e-5)


@pytest.mark.parametrize("delivery", ["at_least_once", "exactly_once"])
def test_abstained_result_also_goes_to_review(
    kafka: Broker, make_topic: MakeTopic, start_worker: StartWorker, make_engine: MakeEngine, delivery: str
) -> None:
    engine = make_engine(INTENTS, {"thresholds": {"praise": 1.0, "refund": 0.0, "delivery": 0.0}})
    topics = Topics(make_topic(2), make_topic(2), make_topic(), make_topic())
    records = [(b"k", json.dumps({"id": i, "text": text}).encode()) for i, text in enumerate(TEXTS)]
    produce(kafka.bootstrap, topics.input, [*records, (b"k", b"no json")])
    worker = start_worker(topics, engine, delivery=delivery, transaction_interval_ms=100)
    results = read_results(kafka.bootstrap, topics.output, len(TEXTS))
    abstained = [result for result in results if result["abstained"]]
    assert 0 < len(abstained) < len(TEXTS)
    assert all(result["label"] == "praise" and result["labels"] == [] for result in abstained)
    assert topics.review is not None
    copies = [result | {"text": TEXTS[result["id"]]} for result in abstained]
    assert read_results(kafka.bootstrap, topics.review, len(abstained)) == copies
    assert len(read_letters(kafka.bootstrap, topics.dead_letter, 1)) == 1
    wait_until(lambda: worker.stats()["abstained"] == len(abstained), 20, "the count")


def test_invalid_candidate_labels_are_dead_letters(
    kafka: Broker, make_topic: MakeTopic, start_worker: StartWorker, make_engine: MakeEngine
) -> None:
    engine = make_engine(("entailment", "other"), {"task": "zero-shot-classification"})
    topics = Topics(make_topic(), make_topic(), make_topic())
    bad: list[dict[str, Any]] = [
        {"text": "x"},
        {"text": "x", "candidate_labels": []},
        {"text": "x", "candidate_labels": ["a", "a"]},
        {"text": "x", "candidate_labels": [" "]},
        {"text": "x", "candidate_labels": ["y" * 257]},
        {"text": "x", "candidate_labels": [str(i) for i in range(101)]},
        {"text": "x", "candidate_labels": ["a"], "hypothesis_template": "{"},
        {"text": "x", "candidate_labels": ["a"], "hypothesis_template": "{}" + "y" * 300},
        {"text": "x", "candidate_labels": ["a"], "text_pair": "y"},
    ]
    values = [{"text": "good", "candidate_labels": ["a"], "id": 0}, *bad, {"text": "good", "candidate_labels": ["b"]}]
    produce(kafka.bootstrap, topics.input, [(None, json.dumps(value).encode()) for value in values])
    start_worker(topics, engine)
    assert [r["label"] for r in read_results(kafka.bootstrap, topics.output, 2)] == ["a", "b"]
    letters = read_letters(kafka.bootstrap, topics.dead_letter, len(bad))
    reasons = [headers["labelstream.reason"] for headers, _ in letters]
    assert reasons == ["invalid_labels"] * (len(bad) - 1) + ["invalid_message"]


def test_labels_have_their_new_names_in_the_order_of_the_model(make_engine: MakeEngine, classify: Any) -> None:
    names = {"LABEL_0": "info", "LABEL_2": "error"}
    engine = make_engine(
        ("LABEL_0", "LABEL_1", "LABEL_2"), {"label_names": names, "scores_order": "model", "thresholds": {"info": 1.0}}
    )
    results = classify(engine, [{"text": text} for text in TEXTS], delivery="exactly_once")
    expected = [pipeline_of(engine)(text, top_k=None) for text in TEXTS]
    for result, scores in zip(results, expected, strict=True):
        assert [entry["label"] for entry in result["scores"]] == ["info", "LABEL_1", "error"]
        assert result["scores_order"] == "model"
        best = scores[0]["label"]
        assert result["label"] == names.get(best, best)
        assert result["labels"] == ([] if result["label"] == "info" else [result["label"]])
