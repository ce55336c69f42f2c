"""Records of the user's own shape, topic to topic."""

import json
from collections import Counter
from typing import Any

import jsonschema
import pytest

from labelstream.schemas.export import json_schema
from labelstream.workers.classifier import Prediction
from labelstream.workers.errors import StartError
from tests.integration.conftest import MakeTopic, StartWorker
from tests.kafka import Broker
from tests.support.fakes import FakeClassifier
from tests.support.streams import (
    Topics,
    assert_order,
    produce,
    read_all,
    read_letters,
    read_results,
    wait_until,
)

EXACTLY = {"delivery": "exactly_once", "transaction_interval_ms": 100}


def topics_of(make_topic: MakeTopic) -> Topics:
    return Topics(make_topic(), make_topic(), make_topic())


def test_parts_of_a_record_stand_where_fields_says(
    kafka: Broker, make_topic: MakeTopic, start_worker: StartWorker
) -> None:
    topics = topics_of(make_topic)
    event = b'{"e":{"id":7,"title":"Disk","lines":[{"t":"is"},{"t":"full"}]},"took":1.50,"x":1,"x":NaN}'
    produce(kafka.bootstrap, topics.input, [(b"k", event), (b"k", b'{"e":{"title":5}}')], headers=[("trace", b"t1")])
    fields = {
        "text": ["e.title", "e.lines[*].t"],
        "id": "e.id",
        "metadata": {"took": "took", "trace": "header:trace", "key": "key"},
    }
    start_worker(topics, fields=fields, **EXACTLY)
    (result,) = read_results(kafka.bootstrap, topics.output, 1)
    assert (result["id"], result["tokens"]) == (7, 5)
    assert json.dumps(result["metadata"]) == '{"took": 1.5, "trace": "t1", "key": "k"}'
    ((headers, _),) = read_letters(kafka.bootstrap, topics.dead_letter, 1)
    assert headers["labelstream.reason"] == "invalid_message"
    assert headers["__connect.errors.exception.message"].startswith("fields.text e.title: e.title must be a string")


def test_record_comes_back_with_the_answer_in_it(
    kafka: Broker, make_topic: MakeTopic, start_worker: StartWorker
) -> None:
    topics = Topics(make_topic(), make_topic(), make_topic(), make_topic())
    values = [
        b'{"m":"even", "n":1.50,\t"big":123456789012345678901234567890 }',
        None,
        b'{"m":" "}',
        b'\xef\xbb\xbf{"m":"odd","x":NaN,"x":1}\n',
        b'["even"]',
        b'{"m":"even","labelstream":1}',
    ]
    produce(kafka.bootstrap, topics.input, [(b"k", value) for value in values], headers=[("h", b"v")])
    start_worker(topics, text_field="m", output_shape="enrich", on_tombstone="pass", on_empty_text="pass", **EXACTLY)
    found = read_all(kafka.bootstrap, topics.output, lambda found: len(found) >= 4)
    assert [message.value() for message in found][1:3] == values[1:3]
    for message, value in ((found[0], values[0]), (found[3], values[3])):
        before, _, part = message.value().partition(b',"labelstream":')
        end = value[value.rindex(b"}") :]
        assert before + end == value
        enrichment = json.loads(part.removesuffix(end))
        jsonschema.validate(enrichment, json_schema("enrichment"))
        assert enrichment["label"] in ("POSITIVE", "NEGATIVE")
    assert {message.key() for message in found} == {b"k"}
    assert all(message.headers() == [("h", b"v")] for message in found)
    letters = read_letters(kafka.bootstrap, topics.dead_letter, 2)
    assert [letter.value() for _, letter in letters] == values[4:]
    sent = read_all(kafka.bootstrap, topics.input, lambda found: len(found) >= 6)
    assert [message.timestamp() for message in found] == [message.timestamp() for message in sent[:4]]


def test_person_reviews_from_the_review_topic_alone(
    kafka: Broker, make_topic: MakeTopic, start_worker: StartWorker
) -> None:
    topics = Topics(make_topic(), make_topic(), make_topic(), make_topic())
    produce(kafka.bootstrap, topics.input, [(b"k", b'{"text":"who knows"}')])
    start_worker(topics, FakeClassifier(lambda _: Prediction(("A",), (0.4,), 3, False, "r", accepted=())), **EXACTLY)
    ((result,), (copy,)) = (read_results(kafka.bootstrap, topic, 1) for topic in (topics.output, topics.review or ""))
    assert copy.pop("text") == "who knows"
    assert copy == result


def test_record_of_two_pipelines_has_both_answers_once(
    kafka: Broker, make_topic: MakeTopic, start_worker: StartWorker
) -> None:
    first = Topics(make_topic(4), make_topic(4), make_topic())
    second = Topics(first.output, make_topic(4), make_topic())
    values = [b'{"m":"text %d","n":%d.50}' % (number, number) for number in range(2_000)]
    produce(kafka.bootstrap, first.input, [(b"%d" % number, value) for number, value in enumerate(values)])
    produce(kafka.bootstrap, first.input, [(b"7", None)])
    more: dict[str, Any] = {"text_field": "m", "output_shape": "enrich", "on_tombstone": "pass", **EXACTLY}
    start_worker(first, group_id="first", enrich_field="one", **more)
    start_worker(second, group_id="second", enrich_field="two", **more)
    found = read_all(kafka.bootstrap, second.output, lambda found: len(found) >= 2_001)
    assert Counter(message.key() for message in found) == Counter(b"%d" % number for number in [*range(2_000), 7])
    whole = [message.value() for message in found if message.value() is not None]
    assert {value.partition(b',"one":')[0] + b"}" for value in whole} == set(values)
    for value in whole:
        tree = json.loads(value)
        assert list(tree) == ["m", "n", "one", "two"]
        assert (tree["one"]["source"]["topic"], tree["two"]["source"]["topic"]) == (first.input, second.input)
    assert [message.value() for message in found if message.key() == b"7"][
        -1
    ] is None  # behind the record that it deletes


def test_result_with_its_text_is_input_of_another_pipeline(
    kafka: Broker, make_topic: MakeTopic, start_worker: StartWorker
) -> None:
    first = topics_of(make_topic)
    second = Topics(first.output, make_topic(), make_topic())
    produce(kafka.bootstrap, first.input, [(b"k", b'{"text":"good","id":7,"metadata":{"n":1.50}}')])
    start_worker(first, group_id="first", include_text="always", **EXACTLY)
    worker = start_worker(second, group_id="second", **EXACTLY)
    (message,) = read_all(kafka.bootstrap, second.output, lambda found: len(found) >= 1)
    assert b'"id":7,' in message.value()
    assert b'"metadata":{"n":1.50}' in message.value()
    assert worker.stats()["unknown_fields"] == 0


def test_results_go_to_the_topics_of_their_rules_once(
    kafka: Broker, make_topic: MakeTopic, start_worker: StartWorker
) -> None:
    topics, bad = Topics(make_topic(4), make_topic(4), make_topic()), make_topic(4)
    values = [(b"%d" % number, b'{"text":"%s","id":%d}' % (b"x" * (number % 5), number)) for number in range(1_000)]
    produce(kafka.bootstrap, topics.input, values)
    route = [{"label": "NEGATIVE", "topic": bad}, {"min_score": 0.75, "topic": topics.output}]
    worker = start_worker(topics, route=route, output_partition="same", **EXACTLY)
    lengths = {number: number % 5 for number in range(1_000) if number % 5}
    for topic, odd in ((topics.output, 0), (bad, 1)):
        expected = {number for number, length in lengths.items() if length % 2 == odd}
        found = read_results(kafka.bootstrap, topic, len(expected))
        assert Counter(result["id"] for result in found) == Counter(expected)
        assert_order(found)
    assert len(read_letters(kafka.bootstrap, topics.dead_letter, 200)) == 200
    wait_until(lambda: sum(worker.stats().get("results_routed", {}).values()) == 800, 20, "the counts")
    assert worker.stats().get("results_routed") == {topics.output: 400, bad: 400}


def test_topic_of_a_rule_that_is_missing_keeps_the_worker_from_starting(
    kafka: Broker, make_topic: MakeTopic, start_worker: StartWorker
) -> None:
    with pytest.raises(StartError, match=r"pipelines.p.route.0.topic: topic nowhere does not exist"):
        start_worker(topics_of(make_topic), route=[{"label": "NEGATIVE", "topic": "nowhere"}])


def test_records_without_the_condition_pass_in_their_order(
    kafka: Broker, make_topic: MakeTopic, start_worker: StartWorker
) -> None:
    topics = topics_of(make_topic)
    values = [b'{"m":"text","level":"%s","n":%d}' % ([b"error", b"info"][n % 2], n) for n in range(500)]
    produce(kafka.bootstrap, topics.input, [(b"k", value) for value in values])
    more = {"only_if": {"field": "level", "in": ["error", "fatal"]}, "max_age_s": 3_600, "otherwise": "pass"}
    worker = start_worker(topics, text_field="m", output_shape="enrich", **more, **EXACTLY)
    found = [message.value() for message in read_all(kafka.bootstrap, topics.output, lambda found: len(found) >= 500)]
    assert [json.loads(value)["n"] for value in found] == list(range(500))
    assert found[1::2] == values[1::2]
    assert all(b',"labelstream":{' in value for value in found[::2])
    wait_until(lambda: worker.stats()["skipped"] == 250, 20, "the counts")


OTLP = "resourceLogs[*].scopeLogs[*].logRecords[*].body.stringValue"


def otlp(*texts: str | None) -> bytes:
    """A batch of log records, each in a scope of its own."""
    logs = [{"logRecords": [{"body": {} if text is None else {"stringValue": text}}]} for text in texts]
    return json.dumps({"resourceLogs": [{"scopeLogs": logs}, {"scopeLogs": []}]}).encode()


def test_list_of_texts_has_its_answers_once_and_in_order(
    kafka: Broker, make_topic: MakeTopic, start_worker: StartWorker
) -> None:
    topics, bad = Topics(make_topic(4), make_topic(4), make_topic()), make_topic(4)
    batches = [[f"{'x' * (1 + (number + at) % 2)}" for at in range(number % 4)] for number in range(400)]
    values = [(b"%d" % number, otlp(*texts, None)) for number, texts in enumerate(batches)]
    produce(kafka.bootstrap, topics.input, values)
    more = {"fields": {"text": OTLP, "id": "key"}, "route": [{"label": "NEGATIVE", "topic": bad}]}
    worker = start_worker(topics, **more, include_text="always", output_partition="same", **EXACTLY)
    found: list[dict[str, Any]] = []
    for topic, count in ((bad, 200), (topics.output, 100)):  # texts of odd length are NEGATIVE
        results = read_results(kafka.bootstrap, topic, count)
        assert_order(results)
        found += results
    assert Counter(int(result["id"]) for result in found) == Counter(
        number for number, texts in enumerate(batches) if texts
    )
    schema = jsonschema.Draft202012Validator(json_schema("answers"))
    for result in found:
        schema.validate(result)
        *answers, last = result["answers"]
        assert [answer["text"] for answer in answers] == batches[int(result["id"])]
        assert last["error"]["reason"] == "empty_text"
    letters = read_letters(kafka.bootstrap, topics.dead_letter, 100)
    assert {headers["labelstream.reason"] for headers, _ in letters} == {"empty_text"}
    wait_until(lambda: worker.stats().get("failed_texts") == {"empty_text": 300}, 20, "the counts")


def test_texts_of_a_result_are_input_of_another_pipeline(
    kafka: Broker, make_topic: MakeTopic, start_worker: StartWorker
) -> None:
    first = topics_of(make_topic)
    second, third = (Topics(first.output, make_topic(), make_topic()) for _ in range(2))
    produce(kafka.bootstrap, first.input, [(b"k", otlp("even", "poison", None, "odd"))])
    start_worker(first, group_id="first", fields={"text": OTLP}, include_text="always", **EXACTLY)
    start_worker(second, group_id="second", fields={"text": "answers[*].text"}, **EXACTLY)
    start_worker(third, group_id="third", **EXACTLY)
    ((once,), (twice,)) = (read_results(kafka.bootstrap, topic, 1) for topic in (first.output, second.output))
    assert [answer.get("label", answer.get("error", {}).get("reason")) for answer in twice["answers"]] == [
        "POSITIVE",
        "inference_failed",
        "empty_text",
        "NEGATIVE",
    ]
    assert once["source"]["topic"] == first.input
    ((headers, _),) = read_letters(kafka.bootstrap, third.dead_letter, 1)
    assert "set fields.text to answers[*].text" in headers["__connect.errors.exception.message"]


@pytest.mark.long
def test_list_in_an_enriched_record_goes_through_a_rebalance_once(
    kafka: Broker, make_topic: MakeTopic, start_worker: StartWorker
) -> None:
    topics = Topics(make_topic(4), make_topic(4), make_topic())
    values = [otlp("even", f"text {number}") for number in range(2_000)]
    produce(kafka.bootstrap, topics.input, [(b"%d" % number, value) for number, value in enumerate(values)])
    more: dict[str, Any] = {"fields": {"text": OTLP}, "output_shape": "enrich", "max_poll_records": 50, **EXACTLY}
    start_worker(topics, worker_id="one", **more)
    start_worker(topics, worker_id="two", **more)
    found = read_all(kafka.bootstrap, topics.output, lambda found: len(found) >= 2_000)
    assert Counter(message.key() for message in found) == Counter(b"%d" % number for number in range(2_000))
    for message in found:
        before, _, part = message.value().partition(b',"labelstream":')
        assert before + b"}" == values[int(message.key())]
        assert len(json.loads(part[:-1])["answers"]) == 2
