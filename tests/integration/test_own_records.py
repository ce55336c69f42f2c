"""Records of the user's own shape, topic to topic."""

import json

from tests.integration.conftest import MakeTopic, StartWorker
from tests.kafka import Broker
from tests.support.streams import Topics, produce, read_letters, read_results

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
