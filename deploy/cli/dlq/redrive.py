"""`labelstream dlq redrive`: dead letters go back to their pipeline's input, each of them once."""

import sys
from contextlib import closing
from typing import Annotated, Any

import typer

from labelstream.deploy.cli.common.connect import Broker, ConfigFile, connect, load_config, reader, require_topic
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
    limit: Annotated[int | None, typer.Option(min=1, help="Send so many at most.")] = None,
    to: Annotated[
        str | None, typer.Option(metavar="TOPIC", help="Send them there. Default: the pipeline's input topic.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be sent, and send nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Send dead letters back to the input, each of them once, however often this is run.

    What is sent is one transaction with its entry in the ledger, a compacted topic called like the dead-letter topic
    with `.redriven` behind it. Records go as they came, with the attempts so far in the header `labelstream.attempts`.
    """
    wanted = selection(reason, topic, since, until, at)
    chosen = choose(load_config(config), pipeline)
    _check_target(to, chosen.pipeline.dead_letter)
    if not (dry_run or yes or sys.stdin.isatty()):
        raise ConfigError("--yes", "is missing, and there is no terminal to ask on", "give it, after a --dry-run")
    with stops_on_signals():
        broker = connect(chosen.kafka)
        _Redrive(broker, chosen.pipeline, to, wanted, limit).run(dry_run, yes)


def _check_target(to: str | None, dead_letter: str) -> None:
    """Raises ConfigError."""
    from labelstream.workers.stream.broker.topics import TOPIC_NAME
    from labelstream.workers.stream.dlq.ledger import ledger_topic

    problem = {dead_letter: "is the dead-letter topic itself", ledger_topic(dead_letter): "is the ledger of redrives"}
    if to is not None and (to in problem or not TOPIC_NAME.fullmatch(to)):
        raise ConfigError("--to", problem.get(to, f"{to!r} is no topic's name"), "name another topic")


class _Redrive:
    """One run of the command. Raises StartError when something that it needs is not there."""

    def __init__(self, broker: Broker, pipeline: Any, to: str | None, wanted: Any, limit: int | None) -> None:
        from labelstream.workers.stream.broker.connection import is_in_memory
        from labelstream.workers.stream.dlq.redrive import describe_target

        if is_in_memory(broker.config):
            raise StartError(
                "the in-memory broker has no real transactions, so nothing can be redriven on it; use another broker"
            )
        self._broker, self._wanted, self._limit = broker, wanted, limit
        self._dead_letter = pipeline.dead_letter
        require_topic(broker, self._dead_letter, "READ")
        require_topic(broker, to or pipeline.input, "WRITE")
        home = None if to else pipeline.input
        self._target = describe_target(broker.config, broker.settings, to or pipeline.input, home)

    def run(self, dry_run: bool, yes: bool) -> None:
        from labelstream.workers.stream.dlq.query import bounds_of
        from labelstream.workers.stream.dlq.source_records import SourceRecords

        config, kafka, to = self._broker.config, self._broker.settings, self._target.topic
        with (
            reader(self._broker, [self._dead_letter], True) as consumer,
            closing(SourceRecords(config, kafka)) as origins,
        ):
            bounds = bounds_of(config, kafka, consumer, self._wanted)  # once: what was asked about is what is sent
            if not yes or dry_run:
                plan = self._look(consumer, origins, bounds)
                _say_all(report_lines(plan, to, "would be sent to" if dry_run else "can be sent to"))
                if dry_run or not plan.sent:
                    return
                typer.confirm(f"Send {plural(plan.sent, 'dead letter')} to {to}?", abort=True, err=True)
            report = self._send(consumer, origins, bounds)
        _say_all(report_lines(report, to, "sent to"))

    def _look(self, consumer: Any, origins: Any, bounds: Any) -> Any:
        """What would be done, by what the ledger holds at the moment."""
        from labelstream.workers.stream.dlq.ledger import ledger_topic, peek_ledger
        from labelstream.workers.stream.dlq.redrive import Report, redrive

        report = Report()
        ledger = peek_ledger(self._broker.config, self._broker.settings, ledger_topic(self._dead_letter))
        redrive(self._letters(consumer, bounds), self._target, ledger, origins, lambda _: None, report, self._limit)
        return report

    def _send(self, consumer: Any, origins: Any, bounds: Any) -> Any:
        from labelstream.workers.stream.dlq.ledger import ensure_ledger, ledger_topic
        from labelstream.workers.stream.dlq.redrive import Report, redrive
        from labelstream.workers.stream.dlq.redrive_transactions import redriving

        config, kafka, target, report = self._broker.config, self._broker.settings, self._target, Report()
        ledger_name = ledger_topic(self._dead_letter)
        if ensure_ledger(config, kafka, ledger_name):
            say(f"created the compacted topic {ledger_name}, the ledger of redrives")
        try:
            with redriving(config, kafka, self._dead_letter, target.topic, target.max_bytes) as (redriver, ledger):
                letters = self._letters(consumer, bounds)
                redrive(letters, target, ledger, origins, redriver.send, report, self._limit)
        except StreamError as error:
            raise StreamError(f"after {plural(report.sent, 'dead letter')}: {error}") from error
        return report

    def _letters(self, consumer: Any, bounds: Any) -> Any:
        from labelstream.workers.stream.dlq.query import find_letters

        return find_letters(self._broker.settings, consumer, bounds, self._wanted)


def _say_all(lines: Any) -> None:
    for line in lines:
        say(line)
