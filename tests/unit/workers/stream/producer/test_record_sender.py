"""Where each result goes: output, review and routes, or a dead letter in its place."""

import json
from collections.abc import Callable

import jsonschema
import pytest

from labelstream.schemas.export import json_schema
from labelstream.workers.classifier import Prediction, Request
from labelstream.workers.stream.broker.topics import TopicLimits
from tests.support.fakes import FakeClassifier
from tests.support.pipeline_bench import A, Bench, message, record


def test_cloudevents_and_partitions(benches: Callable[..., Bench]) -> None:
    bench = benches(headers="cloudevents", output_partition="same")
    bench.source.waiting.append([record(3, message("a"), None, [("ce_id", b"theirs"), ("own", b"1")])])
    bench.run_dry()
    _, _, key, headers, partition = bench.producer.sent[0]
    assert (key, partition) == (None, 0)
    assert dict(headers)["ce_id"] == b"p/in/0/3"
    assert dict(headers)["own"] == b"1"
    assert len(headers) == len(dict(headers))


@pytest.mark.parametrize("one_by_one", [0, 1])
def test_records_without_key_keep_order_of_input_partition(benches: Callable[..., Bench], one_by_one: int) -> None:
    route = [{"label": "NEGATIVE", "topic": "bad"}]
    bench = benches(classifier=FakeClassifier(abstain), review="review", route=route, one_by_one=one_by_one)
    values = (message("sure"), message("unsure"), b"no JSON")
    for first, partition, key in ((0, 0, None), (3, 1, None), (6, 3, None), (9, 3, b"k")):  # outputs have 2 partitions
        records = [record(offset, value, key) for offset, value in enumerate(values, first)]
        bench.source.waiting.append([one._replace(partition=partition) for one in records])
    bench.run_dry()
    places = {(topic, key, partition) for topic, _, key, _, partition in bench.producer.sent}
    topics = ("out", "review", "dlq")
    assert places == {(topic, key, at) for topic in topics for key, at in ((None, 0), (None, 1), (b"k", None))}


def abstain(request: Request) -> Prediction:
    """Of every text but "sure"."""
    accepted = None if request.text == "sure" else ()
    return Prediction(("POSITIVE",), (0.4,), 3, False, "r", accepted=accepted)


@pytest.mark.parametrize("one_by_one", [0, 1])
def test_abstained_results_go_to_review_as_well(benches: Callable[..., Bench], one_by_one: int) -> None:
    bench = benches(classifier=FakeClassifier(abstain), review="review", one_by_one=one_by_one)
    bench.feed(message("sure"), message("unsure"))
    bench.run_dry()
    sent = [(topic, json.loads(value)["source"]["offset"]) for topic, value, *_ in bench.producer.sent]
    assert sorted(sent) == [("out", 0), ("out", 1), ("review", 1)]
    snapshot = bench.stats.snapshot()
    assert (snapshot["results_out"], snapshot["abstained"], snapshot["dead_letters"]) == (2, 1, {})
    assert bench.source.commits[-1] == {A: 2}


def test_result_that_review_refuses_is_a_dead_letter(benches: Callable[..., Bench]) -> None:
    bench = benches(classifier=FakeClassifier(abstain), review="review", one_by_one=1)
    bench.producer.too_large = lambda topic, value: topic == "review"
    bench.feed(message("sure"), message("unsure"))
    bench.run_dry()
    assert [result["source"]["offset"] for result in bench.producer.taken()] == [0]
    (letter,) = bench.producer.letters()
    assert letter["labelstream.reason"] == "result_too_large"
    assert bench.stats.snapshot()["results_out"] == 1
    assert bench.source.commits[-1] == {A: 2}


def test_enriched_record_is_what_came_in_and_the_answer(benches: Callable[..., Bench]) -> None:
    bench = benches(output_shape="enrich", text_field="m", enrich_field="ai")
    value = b' {"m":"ab", "n":1.50,\n"big":12345678901234567890123} '
    bench.source.waiting.append([record(7, value, b"key", [("h", b"v"), ("n", None)])])
    bench.run_dry()
    ((topic, sent, key, headers, _),) = bench.producer.sent
    assert (topic, key, headers) == ("out", b"key", [("h", b"v"), ("n", b"")])
    head, _, rest = sent.partition(b',"ai":')
    part, space = rest[:-2], rest[-2:]
    assert head + space == value
    jsonschema.validate(json.loads(part), json_schema("enrichment"))
    assert json.loads(part)["label"] == "POSITIVE"
    assert bench.source.commits[-1] == {A: 8}


def test_record_that_cannot_be_enriched_is_a_dead_letter(benches: Callable[..., Bench]) -> None:
    bench = benches(output_shape="enrich", text_field="[0]", on_tombstone="dead_letter")
    bench.feed(b'["text"]', None)
    bench.run_dry()
    letters = bench.producer.letters()
    assert [letter["labelstream.reason"] for letter in letters] == ["invalid_message", "tombstone"]
    assert "must be a JSON object" in letters[0]["__connect.errors.exception.message"]
    assert bench.classifier.calls == []


def test_passed_records_keep_their_place_among_results(benches: Callable[..., Bench]) -> None:
    bench = benches(output_shape="enrich", on_empty_text="pass", on_tombstone="pass", one_by_one=0)
    values = [message("a"), None, b'{"text": " ","labelstream":2}', message("b"), b'{"text":null,"labelstream":1}']
    bench.feed(*values)
    bench.run_dry()
    sent = [(value, key) for _, value, key, *_ in bench.producer.sent]
    assert [value for value, _ in sent][1:3] == values[1:3]
    assert sent[4] == (values[4], b"k")
    assert [b'"labelstream":{' in (value or b"") for value, _ in sent] == [True, False, False, True, False]
    snapshot = bench.stats.snapshot()
    assert (snapshot["results_out"], snapshot["skipped"], snapshot["dead_letters"]) == (2, 3, {})
    assert snapshot.get("skipped_by_reason") == {"tombstone": 1, "empty_text": 2}
    assert bench.source.commits[-1] == {A: 5}


def test_passed_record_that_the_topic_refuses_is_a_dead_letter(benches: Callable[..., Bench]) -> None:
    bench = benches(on_tombstone="pass", limits=TopicLimits(keyed=frozenset({"out"})))
    bench.source.waiting.append([record(0, None, None), record(1, None)])
    bench.run_dry()
    (letter,) = bench.producer.letters()
    assert letter["labelstream.reason"] == "result_refused"
    assert [(topic, value) for topic, value, *_ in bench.producer.sent] == [("dlq", b""), ("out", None)]
    assert bench.stats.snapshot()["skipped"] == 1


@pytest.mark.parametrize(
    ("include", "in_output", "in_review"),
    [("never", None, None), ("review", None, "unsure"), ("always", "unsure", "unsure")],
)
def test_text_stands_in_the_results_that_ask_for_it(
    benches: Callable[..., Bench], include: str, in_output: str | None, in_review: str | None
) -> None:
    bench = benches(classifier=FakeClassifier(abstain), review="review", include_text=include)
    bench.feed(message("unsure", text_pair="pair"))
    bench.run_dry()
    found = {topic: json.loads(value) for topic, value, *_ in bench.producer.sent}
    assert (found["out"].get("text"), found["review"].get("text")) == (in_output, in_review)
    assert found["review"].get("text_pair") == (in_review and "pair")
    for value in found.values():
        jsonschema.validate(value, json_schema("result"))


def test_text_that_review_has_no_room_for_is_left_out(benches: Callable[..., Bench]) -> None:
    bench = benches(classifier=FakeClassifier(abstain), review="review", limits=TopicLimits(review=1_000))
    bench.feed(message("x" * 900), message("short"))
    bench.run_dry()
    texts = [json.loads(value).get("text") for topic, value, *_ in bench.producer.sent if topic == "review"]
    assert texts == [None, "short"]
    assert bench.stats.snapshot()["dead_letters"] == {}


def test_enriched_copy_goes_to_review(benches: Callable[..., Bench]) -> None:
    bench = benches(classifier=FakeClassifier(abstain), review="review", output_shape="enrich")
    bench.feed(message("unsure"))
    bench.run_dry()
    first, second = bench.producer.sent
    assert {first[0], second[0]} == {"out", "review"}
    assert first[1] == second[1]


@pytest.mark.parametrize("one_by_one", [0, 1])
def test_first_rule_that_matches_takes_the_result(benches: Callable[..., Bench], one_by_one: int) -> None:
    route = [
        {"label": "NEGATIVE", "topic": "bad"},
        {"max_score": 0.1, "topic": "low"},
        {"truncated": True, "topic": None},
    ]
    bench = benches(route=route, one_by_one=one_by_one)
    bench.feed(message("even"), message("odd"), message("x" * 1_002), message("even"), b"no JSON")
    bench.run_dry()
    sent = [
        (topic, json.loads(value)["source"]["offset"]) for topic, value, *_ in bench.producer.sent if topic != "dlq"
    ]
    assert sorted(sent) == [("bad", 1), ("out", 0), ("out", 3)]
    snapshot = bench.stats.snapshot()
    assert snapshot.get("results_routed") == {"out": 2, "bad": 1, "(dropped)": 1}
    assert (snapshot["results_out"], snapshot["skipped"], snapshot["dead_letters"]) == (3, 1, {"invalid_json": 1})
    assert snapshot.get("skipped_by_reason") == {"route": 1}
    assert sum(snapshot["labels"]["m"].values()) == 4
    assert bench.source.commits[-1] == {A: 5}


def test_review_gets_its_copy_of_a_routed_result(benches: Callable[..., Bench]) -> None:
    route = [{"abstained": True, "topic": None}]
    bench = benches(classifier=FakeClassifier(abstain), review="review", route=route)
    bench.feed(message("sure"), message("unsure"))
    bench.run_dry()
    assert sorted(topic for topic, *_ in bench.producer.sent) == ["out", "review"]


def test_result_that_its_own_target_has_no_room_for_is_a_dead_letter(benches: Callable[..., Bench]) -> None:
    route = [{"label": "NEGATIVE", "topic": "bad"}]
    bench = benches(route=route, limits=TopicLimits(routes={"bad": 100}))
    bench.feed(message("even"), message("odd"))
    bench.run_dry()
    assert [letter["labelstream.reason"] for letter in bench.producer.letters()] == ["result_too_large"]
    assert bench.stats.snapshot().get("results_routed") == {"out": 1}


LIST = {"text": "l[*]"}


@pytest.mark.parametrize(("include", "in_output", "in_review"), [("review", False, True), ("always", True, True)])
def test_list_goes_to_review_as_a_whole_with_its_texts(
    benches: Callable[..., Bench], include: str, in_output: bool, in_review: bool
) -> None:
    bench = benches(classifier=FakeClassifier(abstain), review="review", include_text=include, fields=LIST)
    bench.feed(b'{"l":["sure","sure"]}', b'{"l":["sure","unsure",null]}')
    bench.run_dry()
    sent = [(topic, json.loads(value)) for topic, value, *_ in bench.producer.sent]
    assert sorted((topic, result["source"]["offset"]) for topic, result in sent) == [
        ("out", 0),
        ("out", 1),
        ("review", 1),
    ]
    for topic, result in sent:
        jsonschema.validate(result, json_schema("answers"))
        if result["source"]["offset"] == 1:
            has_texts = in_output if topic == "out" else in_review
            texts = [answer.get("text") for answer in result["answers"]]
            assert texts == (["sure", "unsure", None] if has_texts else [None] * 3)
    snapshot = bench.stats.snapshot()
    assert (snapshot["abstained"], snapshot["labels"]) == (1, {"m": {"POSITIVE": 3, "(abstained)": 1}})


def test_rule_matches_a_list_when_any_answer_does(benches: Callable[..., Bench]) -> None:
    route = [{"truncated": True, "topic": None}, {"label": "NEGATIVE", "min_score": 0.6, "topic": "bad"}]
    bench = benches(route=route, fields=LIST)
    values = [["even", "even"], ["even", " ", "odd"], ["odd", "x" * 1_002], ["poison", "even"]]
    bench.feed(*[json.dumps({"l": texts}).encode() for texts in values])
    bench.run_dry()
    sent = [(topic, json.loads(value)["source"]["offset"]) for topic, value, *_ in bench.producer.sent]
    assert sorted(sent) == [("bad", 1), ("out", 0), ("out", 3)]
    assert bench.stats.snapshot().get("results_routed") == {"out": 2, "bad": 1, "(dropped)": 1}


def test_enriched_list_has_its_answers(benches: Callable[..., Bench]) -> None:
    bench = benches(output_shape="enrich", fields=LIST, on_empty_text="pass")
    values = [b'{"l": ["even", "poison"], "n": 1.50}', b'{"l":[]}', b'{"l":[" ",null]}']
    bench.feed(*values)
    bench.run_dry()
    sent = [value for _, value, *_ in bench.producer.sent]
    assert sent[1:] == values[1:]
    before, _, part = sent[0].partition(b',"labelstream":')
    assert before + b"}" == values[0]
    jsonschema.validate(json.loads(part[:-1]), json_schema("answers-enrichment"))
    assert bench.stats.snapshot()["skipped"] == 2


def test_event_of_a_list_has_a_type_of_its_own(benches: Callable[..., Bench]) -> None:
    bench = benches(fields=LIST, headers="cloudevents")
    bench.feed(b'{"l": ["even", null]}')
    bench.run_dry()
    assert dict(bench.producer.sent[0][3])["ce_type"] == b"labelstream.text-classification.answers.v1"


def test_list_whose_result_is_too_large_is_a_dead_letter(benches: Callable[..., Bench]) -> None:
    bench = benches(limits=TopicLimits(output=2_000, dead_letter=10_000), fields=LIST)
    bench.feed(json.dumps({"l": ["even"] * 20}).encode(), b'{"l":["even"]}')
    bench.run_dry()
    assert [result["source"]["offset"] for result in bench.producer.results()] == [1]
    assert [letter["labelstream.reason"] for letter in bench.producer.letters()] == ["result_too_large"]
