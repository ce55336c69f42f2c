"""The engine in one process: every future resolves, also after a crash and a close."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from labelstream.workers.classifier import Classifier, Fault, Prediction, RecordError, Request
from labelstream.workers.engine.engine import MAX_PENDING_REQUESTS, Engine
from labelstream.workers.errors import InferenceError, ModelError


@pytest.fixture
def engine(model_folder: Callable[[str], Path]) -> Iterator[Engine]:
    with Engine.load(str(model_folder("distilbert")), device="cpu", dtype="float32") as engine:
        yield engine


def test_answers_come_in_the_order_of_the_requests(engine: Engine) -> None:
    classifier: Classifier = engine
    texts = ["good", "bad " * 9, "not bad at all", "x" * 50]
    answers = classifier.submit([Request(text) for text in texts]).result(10)
    for text, answer in zip(texts, answers, strict=True):
        (alone,) = engine.classify([Request(text)])
        assert isinstance(answer, Prediction)
        assert isinstance(alone, Prediction)
        assert answer.labels == alone.labels
        assert answer.revision == engine.description.revision


def test_bad_request_leaves_others_answered(engine: Engine) -> None:
    first, second, third = engine.classify([Request("good"), Request("x", candidate_labels=("y",)), Request("\ud800")])
    assert isinstance(first, Prediction)
    assert isinstance(second, RecordError)
    assert second.fault is Fault.INVALID_LABELS
    assert isinstance(third, RecordError)
    assert third.fault is Fault.INVALID_MESSAGE


def test_many_callers_each_get_their_own_answers(engine: Engine) -> None:
    calls = [[Request("good " * (1 + i % 7), top_k=1 + i % 3)] * (1 + i % 5) for i in range(60)]
    futures = [engine.submit(call) for call in calls]
    for i, (call, future) in enumerate(zip(calls, futures, strict=True)):
        answers = future.result(10)
        assert len(answers) == len(call)
        for answer in answers:
            assert isinstance(answer, Prediction)
            assert answer.tokens == 3 + i % 7
            assert len(answer.labels) == 1 + i % 3


def test_crash_resolves_its_futures_and_engine_continues(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    begin = engine._predictor.begin
    monkeypatch.setattr(engine._predictor, "begin", lambda *_: 1 / 0)
    with pytest.raises(InferenceError, match="ZeroDivisionError"):
        engine.classify([Request("good")])
    monkeypatch.setattr(engine._predictor, "begin", begin)
    assert isinstance(engine.classify([Request("good")])[0], Prediction)


def hold(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> tuple[threading.Event, threading.Event]:
    """Events that block the model: the first is set on entry, setting the second lets the model continue."""
    reached, go_on = threading.Event(), threading.Event()
    begin = engine._predictor.begin

    def slow(*args: Any) -> Any:
        reached.set()
        assert go_on.wait(10)
        return begin(*args)

    monkeypatch.setattr(engine._predictor, "begin", slow)
    return reached, go_on


def test_close_resolves_waiting_calls_and_refuses_new(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    reached, go_on = hold(engine, monkeypatch)
    running = engine.submit([Request("good")])
    assert reached.wait(10)
    waiting = engine.submit([Request("bad")])
    closing = threading.Thread(target=engine.close)
    closing.start()
    with pytest.raises(InferenceError, match="closed before"):
        waiting.result(10)
    with pytest.raises(InferenceError, match="is closed"):
        engine.submit([Request("x")]).result(10)
    go_on.set()
    closing.join(10)
    assert isinstance(running.result(10)[0], Prediction)
    engine.close()


def test_the_queue_is_bounded(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    reached, go_on = hold(engine, monkeypatch)
    running = engine.submit([Request("good")])
    assert reached.wait(10)
    refused = engine.submit([Request("good")] * MAX_PENDING_REQUESTS)
    with pytest.raises(InferenceError, match="1 requests are pending"):
        refused.result(0)
    go_on.set()
    assert isinstance(running.result(10)[0], Prediction)


class Panic(BaseException):
    """As pyo3's PanicException, which tokenizers raise."""


def test_a_panic_of_native_code_resolves_its_call_and_no_other(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    def panic(*_: Any) -> Any:
        raise Panic

    prepare = engine._task.prepare
    monkeypatch.setattr(engine._task, "prepare", panic)
    with pytest.raises(InferenceError, match="Panic"):
        engine.submit([Request("good")]).result(10)
    monkeypatch.setattr(engine._task, "prepare", prepare)
    reached, go_on = hold(engine, monkeypatch)
    running = engine.submit([Request("good")])
    assert reached.wait(10)
    first, second = engine.submit([Request("bad")]), engine.submit([Request("not bad")])
    first.add_done_callback(panic)
    go_on.set()
    assert all(isinstance(future.result(10)[0], Prediction) for future in (running, first, second))
    assert engine._pending == 0


def test_interrupt_is_raised_and_not_logged(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def interrupt(*_: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(engine._task, "prepare", interrupt)
    with pytest.raises(KeyboardInterrupt):
        engine.submit([Request("good")])
    assert caplog.text == ""
    assert engine._pending == 0


def test_running_forward_keeps_no_process_alive(engine: Engine) -> None:
    threads = [thread for thread in threading.enumerate() if thread.name == "labelstream-engine"]
    assert threads
    assert all(thread.daemon for thread in threads)


def test_source_other_than_a_path_is_a_type_error(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no such directory"):
        Engine.load(tmp_path / "none")
    source: Any = 3
    with pytest.raises(TypeError, match="source is a int; give a str or a path"):
        Engine.load(source)


@pytest.mark.parametrize(("option", "said"), [("topk", "; did you mean top_k?"), ("replicas", "")])
def test_unknown_option_is_named(option: str, said: str) -> None:
    with pytest.raises(ModelError) as refused:
        Engine.load("m", **{option: 2})
    assert str(refused.value) == f"m: {option}: unknown option{said}"


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("dtype", "fp16", "must be 'auto', 'float32', 'bfloat16' or 'float16', not 'fp16'; did you mean float16?"),
        ("threshold", 1.5, "must be at most 1; None means 0.5 for independent labels"),
        ("top_k", "all", "must be a whole number; None means all labels"),
    ],
)
def test_wrong_option_says_what_is_allowed(option: str, value: Any, said: str) -> None:
    with pytest.raises(ModelError) as refused:
        Engine.load("m", **{option: value})
    assert str(refused.value) == f"m: {option}: {said}"
