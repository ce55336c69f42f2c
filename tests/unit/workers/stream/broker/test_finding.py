"""What a check has found."""

import logging

from labelstream.workers.errors import ConfigError, StartError
from labelstream.workers.stream.broker.finding import Finding


def test_finding_is_a_line_that_begins_with_its_key() -> None:
    assert str(Finding("kafka", "gone: look")) == "kafka: gone: look"
    assert Finding.of(StartError("kafka: gone: look")) == Finding("kafka", "gone: look", logging.CRITICAL)
    assert Finding.of(ConfigError("a.b", "is wrong", "mend it"), logging.WARNING) == Finding(
        "a.b", "is wrong; mend it", logging.WARNING
    )


def test_problem_is_what_has_to_be_put_right() -> None:
    levels = (logging.CRITICAL, logging.ERROR, logging.WARNING, logging.INFO)
    assert [Finding("k", "t", level).is_problem for level in levels] == [True, True, False, False]
