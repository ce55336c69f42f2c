"""`labelstream dlq redrive`: sends dead letters to the input topic again, each of them once."""

import sys
from contextlib import closing
from typing import Annotated, Any

import typer

from labelstream.deploy.cli.common.connect import (
    Broker,
    ConfigFile,
    connect,
    load_pipelines,
    read_now,
    reader,
    require_topic,
)
from labelstream.deploy.cli.common.console import plural, say, stops_on_signals
from labelstream.deploy.cli.dlq.options import At, PipelineName, Reasons, Since, SourceTopic, Until, choose, selection
from labelstream.deploy.cli.dlq.view import report_lines
from labelstream.workers.errors import ConfigError, StartError, StreamError


def redrive(
    config: ConfigFile,
    pipeline: PipelineName = None,
    reason: Reasons = None,
    topic: SourceTopic = None,
    since: Since = None,
    until: Until = None,
    at: At = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Maximum number of dead letters to send.")] = None,
    to: Annotated[
        str | None,
        typer.Option(metavar="TOPIC", help="Topic to send to. Default: the topic of the message."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print what would be sent, and send nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")] = False,
) -> None:
    """Send dead letters to their input topic again, each of them at most once, even across crashes and repeated runs.

    Each record and its entry in the ledger are written in one transaction. The ledger is a compacted topic: the name
    of the dead-letter topic with the suffix `.redriven`. Records are sent unchanged, except that the header
    `labelstream.attempts` counts the attempts.
    """
    wanted = selection(reason, topic, since, until, at)
    chosen = choose(load_pipelines(config), pipeline)
    _check_target(to, chosen.pipeline.dead_letter)
    if not (dry_run or yes or sys.stdin.isatty()):
        raise ConfigError(
            "--yes", "is missing, and there is no terminal to ask on", "run with --dry-run first, then add --yes"
        )
    with stops_on_signals():
        broker = connect(chosen.kafka)
        _Redrive(broker, chosen.pipeline, to, wanted, limit).run(dry_run, yes)


def _check_target(to: str | None, dead_letter: str) -> None:
    """Raises ConfigError."""
    from labelstream.workers.stream.broker.topics import TOPIC_NAME
    from labelstream.workers.stream.dlq.ledger import ledger_topic

    problem = {dead_letter: "is the dead-letter topic itself", ledger_topic(dead_letter): "is the ledger of redrives"}
    if to is not None and (to in problem or not TOPIC_NAME.fullmatch(to)):
        raise ConfigError("--to", problem.get(to, f"{to!r} is not a topic's name"), "give another topic")


class _Redrive:
    """One run of the command. Raises StartError if a topic, a permission or the support of transactions is missing."""

    def __init__(self, broker: Broker, pipeline: Any, to: str | None, wanted: Any, limit: int | None) -> None:
        from labelstream.workers.stream.broker.connection import is_in_memory
        from labelstream.workers.stream.dlq.redrive import describe_targets

        if is_in_memory(broker.config):
            raise StartError(
                "the in-memory broker has no real transactions, so it supports no redrive; use a Kafka broker"
            )
        self._broker, self._wanted, self._limit = broker, wanted, limit
        self._dead_letter = pipeline.dead_letter
        require_topic(broker, self._dead_letter, "READ")
        topics = [to] if to else read_now(broker, pipeline)
        for topic in topics:
            require_topic(broker, topic, "WRITE")
        self._targets = describe_targets(broker.config, broker.settings, topics, to)
        self._to = topics[0] if len(topics) == 1 else "their input topics"

    def run(self, dry_run: bool, yes: bool) -> None:
        from labelstream.workers.stream.dlq.query import bounds_of
        from labelstream.workers.stream.dlq.source_records import SourceRecords

        config, kafka, to = self._broker.config, self._broker.settings, self._to
        with (
            reader(self._broker, [self._dead_letter], True) as consumer,
            closing(SourceRecords(config, kafka)) as origins,
        ):
            bounds = bounds_of(
                config, kafka, consumer, self._wanted
            )  # only once, so that the dead letters sent are those that were confirmed
            if not yes or dry_run:
                plan = self._look(consumer, origins, bounds)
                _say_all(report_lines(plan, to, "would be sent to" if dry_run else "can be sent to"))
                if dry_run or not plan.sent:
                    return
                typer.confirm(f"Send {plural(plan.sent, 'dead letter')} to {to}?", abort=True, err=True)
            report = self._send(consumer, origins, bounds)
        _say_all(report_lines(report, to, "sent to"))

    def _look(self, consumer: Any, origins: Any, bounds: Any) -> Any:
        """The report of a redrive without sending, by the current ledger."""
        from labelstream.workers.stream.dlq.ledger import ledger_topic, peek_ledger
        from labelstream.workers.stream.dlq.redrive import Report, redrive

        report = Report()
        ledger = peek_ledger(self._broker.config, self._broker.settings, ledger_topic(self._dead_letter))
        redrive(self._letters(consumer, bounds), self._targets, ledger, origins, lambda _: None, report, self._limit)
        return report

    def _send(self, consumer: Any, origins: Any, bounds: Any) -> Any:
        from labelstream.workers.stream.dlq.ledger import ensure_ledger, ledger_topic
        from labelstream.workers.stream.dlq.redrive import Report, redrive
        from labelstream.workers.stream.dlq.redrive_transactions import redriving

        config, kafka, targets, report = self._broker.config, self._broker.settings, self._targets, Report()
        ledger_name = ledger_topic(self._dead_letter)
        if ensure_ledger(config, kafka, ledger_name):
            say(f"created the compacted topic {ledger_name}, the ledger of redrives")
        try:
            with redriving(config, kafka, self._dead_letter, targets.max_bytes) as (redriver, ledger):
                letters = self._letters(consumer, bounds)
                redrive(letters, targets, ledger, origins, redriver.send, report, self._limit)
        except StreamError as error:
            raise StreamError(f"after {plural(report.sent, 'dead letter')}: {error}") from error
        return report

    def _letters(self, consumer: Any, bounds: Any) -> Any:
        from labelstream.workers.stream.dlq.query import find_letters

        return find_letters(self._broker.settings, consumer, bounds, self._wanted)


def _say_all(lines: Any) -> None:
    for line in lines:
        say(line)
