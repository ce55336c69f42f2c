"""Zero-shot equals transformers' own pipeline, for any text, label and template."""

from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from labelstream.workers.classifier import Fault, Prediction, RecordError, Request
from labelstream.workers.engine.engine import Engine
from labelstream.workers.engine.options import ModelOptions
from labelstream.workers.engine.tasks import zero_shot
from labelstream.workers.errors import ModelError
from tests.support.models import FAMILIES, TEXTS, build
from tests.support.parity import BACKENDS, ODD_TEXTS

NLI = ("contradiction", "neutral", "entailment")
LABELS = ("delivery", "quality of the zips", "price", "the colour!", "{}", "%s", "caf\u00e9", "\U0001f600")
TEMPLATES = (None, "It is about {}.", "{}", "caf\u00e9 {} na\u00efve")
OPTIONS: dict[str, Any] = {"task": "zero-shot-classification", "device": "cpu", "dtype": "float32", "top_k": None}

Folders = Callable[..., Path]
Calm = Callable[[Path], Path]


@pytest.fixture(scope="module")
def nli_folder(tmp_path_factory: pytest.TempPathFactory) -> Folders:
    @cache
    def folder(family: str, labels: tuple[str, ...] = NLI) -> Path:
        return build(tmp_path_factory.mktemp(family), family, labels=labels)

    return folder


@cache
def oracle(folder: Path) -> Any:
    return transformers.pipeline("zero-shot-classification", str(folder), dtype=torch.float32, device="cpu")


def expected(folder: Path, request: Request) -> dict[str, float]:
    template = {} if request.hypothesis_template is None else {"hypothesis_template": request.hypothesis_template}
    answer = oracle(folder)(
        request.text, list(request.candidate_labels or ()), multi_label=bool(request.multi_label), **template
    )
    return dict(zip(answer["labels"], answer["scores"], strict=True))


def assert_same(folder: Path, requests: Sequence[Request], answers: Sequence[Any], within: float = 1e-5) -> None:
    for request, answer in zip(requests, answers, strict=True):
        assert isinstance(answer, Prediction), answer
        wanted = expected(folder, request)
        assert dict(zip(answer.labels, answer.scores, strict=True)) == pytest.approx(wanted, abs=within), request
        assert list(answer.scores) == sorted(answer.scores, reverse=True)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_equals_the_pipeline(nli_folder: Folders, calm: Calm, family: str, backend: str) -> None:
    folder = nli_folder(family)
    texts = [text for text in (*TEXTS, *ODD_TEXTS) if text]  # the pipeline takes no empty text
    requests = [
        Request(
            text,
            candidate_labels=LABELS[: 1 + row % len(LABELS)],
            hypothesis_template=TEMPLATES[row % 4],
            multi_label=bool(row % 2),
        )
        for row, text in enumerate(texts)
    ]
    for dtype, within, where in (("float32", 1e-5, folder), ("bfloat16", 2e-2, calm(folder))):
        options = {**OPTIONS, "dtype": dtype, "backend": backend}
        with Engine.load(str(where), max_batch_tokens=256, **options) as engine:
            assert_same(where, requests, engine.classify(requests), within)


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    text=st.text(min_size=1, max_size=80),
    labels=st.lists(st.text(min_size=1, max_size=12).filter(str.strip), min_size=1, max_size=4, unique=True),
    multi_label=st.booleans(),
    family=st.sampled_from(FAMILIES),
    backend=st.sampled_from(BACKENDS),
)
def test_any_text_and_label(
    nli_folder: Folders,
    engines: Callable[..., Engine],
    text: str,
    labels: list[str],
    multi_label: bool,
    family: str,
    backend: str,
) -> None:
    request = Request(text, candidate_labels=tuple(labels), multi_label=multi_label)
    (answer,) = engines(family, backend).classify([request])
    if isinstance(answer, RecordError):  # only a lone surrogate is refused
        assert any("\ud800" <= char <= "\udfff" for char in text + "".join(labels))
    else:
        assert_same(nli_folder(family), [request], [answer])


@pytest.fixture(scope="module")
def engines(nli_folder: Folders) -> Any:
    made: dict[tuple[str, str], Engine] = {}

    def engine(family: str, backend: str = "torch") -> Engine:
        if (family, backend) not in made:
            made[family, backend] = Engine.load(str(nli_folder(family)), backend=backend, **OPTIONS)
        return made[family, backend]

    yield engine
    for one in made.values():
        one.close()


@pytest.mark.parametrize(
    "labels",
    [
        ("entailment", "neutral", "contradiction"),
        ("ENTAILMENT", "NOT_ENTAILMENT"),
        ("not", "entails"),
        ("contradiction", "entailment", "neutral"),
    ],
)
@pytest.mark.parametrize("multi_label", [False, True])
def test_nli_ids_follow_from_the_models_labels(nli_folder: Folders, labels: tuple[str, ...], multi_label: bool) -> None:
    folder = nli_folder("bert", labels)
    requests = [Request(text, candidate_labels=LABELS[:3], multi_label=multi_label) for text in TEXTS]
    with Engine.load(str(folder), **OPTIONS) as engine:
        assert_same(folder, requests, engine.classify(requests))


def test_settings_fill_in_what_a_message_leaves_open(nli_folder: Folders) -> None:
    folder = nli_folder("bert")
    options = {**OPTIONS, "candidate_labels": LABELS[:3], "hypothesis_template": "all {}", "multi_label": True}
    with Engine.load(str(folder), **options) as engine:
        alone, *own = engine.classify(
            [
                Request(TEXTS[0]),
                Request(TEXTS[0], candidate_labels=("other",)),
                Request(TEXTS[0], multi_label=False),
                Request(TEXTS[0], hypothesis_template="{}?"),
            ]
        )
    assert_same(
        folder,
        [
            Request(TEXTS[0], None, None, LABELS[:3], "all {}", True),
            Request(TEXTS[0], None, None, ("other",), "all {}", True),
            Request(TEXTS[0], None, None, LABELS[:3], "all {}", False),
            Request(TEXTS[0], None, None, LABELS[:3], "{}?", True),
        ],
        [alone, *own],
    )


def test_bad_request_does_not_affect_others(engines: Callable[[str], Engine]) -> None:
    good = Request("good", candidate_labels=LABELS[:2])
    requests = [
        good,
        Request("no labels"),
        Request("x", candidate_labels=()),
        good,
        Request("x", "a pair", candidate_labels=LABELS),
        Request("x", candidate_labels=LABELS, hypothesis_template="{"),
        Request("x", candidate_labels=LABELS, hypothesis_template="{0}"),
        Request("x", candidate_labels=LABELS, hypothesis_template="{} {}"),
        Request("x", candidate_labels=("long " * 70,)),
        Request("x\ud800", candidate_labels=LABELS),
        Request("x", candidate_labels=LABELS, top_k=0),
        good,
    ]
    answers = engines("bert").classify(requests)
    labels, message = Fault.INVALID_LABELS, Fault.INVALID_MESSAGE
    assert [answer.fault if isinstance(answer, RecordError) else None for answer in answers] == [
        None,
        labels,
        labels,
        None,
        message,
        labels,
        labels,
        labels,
        labels,
        message,
        message,
        None,
    ]
    first, *others = [answer for answer in answers if isinstance(answer, Prediction)]
    for other in others:
        assert other.labels == first.labels
        assert other.scores == pytest.approx(first.scores, abs=1e-6)


def test_long_text_is_truncated_and_marked(engines: Callable[[str], Engine]) -> None:
    short, long = engines("bert").classify(
        [
            Request("good", candidate_labels=LABELS[:2]),
            Request("good " * 100, candidate_labels=LABELS[:2], top_k=1),
        ]
    )
    assert isinstance(short, Prediction)
    assert isinstance(long, Prediction)
    assert (short.truncated, long.truncated) == (False, True)
    assert long.tokens == 2 * 64
    assert len(long.labels) == 1


def test_hypotheses_are_tokenized_once(engines: Callable[[str], Engine], monkeypatch: pytest.MonkeyPatch) -> None:
    task: Any = zero_shot.ZeroShotClassification(engines("roberta").description)
    asked: list[str] = []
    contents = task._tokenizer.contents
    monkeypatch.setattr(task._tokenizer, "contents", lambda texts, *more: asked.extend(texts) or contents(texts, *more))
    for text in ("one", "two", "three"):
        task.prepare([Request(text, candidate_labels=("first", "second"))])
    assert sorted(asked) == sorted(["one", "two", "three", "This example is first.", "This example is second."])


def test_hypothesis_cache_is_bounded(engines: Callable[[str], Engine], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zero_shot, "MAX_HYPOTHESES", 3)
    task: Any = zero_shot.ZeroShotClassification(engines("bert").description)
    for number in range(10):
        task.prepare([Request("x", candidate_labels=("kept", f"label {number}"))])
    assert len(task._hypotheses) == 3
    assert "This example is kept." in task._hypotheses


@pytest.mark.parametrize(
    ("labels", "options", "problem"),
    [
        (("a", "b"), {}, "needs a model of natural language inference"),
        (("entailment",), {}, "needs a model of natural language inference"),
        (NLI, {"hypothesis_template": "no place"}, "hypothesis_template must hold {} exactly once"),
    ],
)
def test_unusable_zero_shot_model_is_refused_at_start(
    nli_folder: Folders, labels: tuple[str, ...], options: dict[str, Any], problem: str
) -> None:
    from labelstream.workers.engine.loading.loader import load

    with pytest.raises(ModelError, match=problem):
        load(str(nli_folder("distilbert", labels)), ModelOptions(**{**OPTIONS, **options}))
