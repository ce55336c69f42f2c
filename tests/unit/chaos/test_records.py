"""The bytes that chaos expects back are those that the codec writes."""

import random
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

from labelstream.workers.classifier import Prediction
from labelstream.workers.stream.codec.decode import decoder
from labelstream.workers.stream.codec.encoding.headers import result_headers
from labelstream.workers.stream.codec.encoding.results import value_encoder
from labelstream.workers.stream.codec.fields.conditions import ConditionCheck
from labelstream.workers.stream.codec.rejection import DecodeError
from tests.chaos.load import Input
from tests.chaos.records import record_messages
from tests.chaos.system import DROPPED, RECORDS, ROUTED, settings_for
from tests.chaos.verify import Expected, split
from tests.support.pipeline_bench import record

PIPELINE = settings_for("unused:9092", Path(), "exactly_once").pipelines[RECORDS.pipeline]
ANSWERS = {
    "one": Prediction((ROUTED, DROPPED), (0.9, 0.1), 3, False, "r"),
    "some more words": Prediction((DROPPED, ROUTED), (0.8, 0.2), 9, True, "r"),
    "two words": Prediction((DROPPED, ROUTED), (0.7, 0.3), 4, False, "r"),
}
CONDITIONS, DECODE, ENCODE = ConditionCheck(PIPELINE), decoder(PIPELINE), value_encoder("records", PIPELINE)


def _outcome(given: Input) -> Expected:
    """What the codec makes of `given`."""
    value, key = given.value, given.expected.key
    passed = Expected(RECORDS.outputs[0], key, None, 0.0, value, given.expected.headers)
    is_met = CONDITIONS.takes(0, given.headers) and value is not None
    try:
        if value is None or not (is_met and CONDITIONS.takes_value(value)):
            return passed
        message = DECODE(value, key, given.headers)
    except DecodeError as error:
        return passed if error.reason == "empty_text" else passed._replace(topic=RECORDS.dead_letter)
    answer, came = ANSWERS[message.text], record(0, value, key, given.headers)
    found, rest = split(ENCODE(came, message, "m", answer, datetime.now(UTC)))
    assert found is not None
    topic = next((rule.topic for rule in PIPELINE.route if rule.matches(answer)), PIPELINE.output)
    headers = tuple(result_headers("pass", "records", came, answer.task))
    return Expected(topic, key, found["label"], found["score"], rest, headers)


def test_each_kind_of_record_comes_back_as_expected() -> None:
    make, chosen = record_messages(list(ANSWERS.items())), random.Random(3)
    outcomes: Counter[tuple[str | None, bool]] = Counter()
    for number in range(3_000):
        given = make(number, b"key", chosen)
        assert _outcome(given) == given.expected, given
        outcomes[given.expected.topic, given.expected.label is None] += 1
    enriched, urgent = RECORDS.outputs
    assert outcomes.keys() == {
        (enriched, False),
        (enriched, True),
        (urgent, False),
        (None, False),
        (RECORDS.dead_letter, True),
    }
