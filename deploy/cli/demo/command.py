"""`labelstream demo`: runs the whole system on this machine, on shipped texts, and accounts for every message."""

import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer

from labelstream.deploy.cli.common.arguments import DEMO_MODEL
from labelstream.deploy.cli.common.console import stops_on_signals
from labelstream.deploy.cli.common.process_group import run_in_new_session
from labelstream.workers.errors import ModelError, StartError

PIPELINE, MODEL = "feedback", "sentiment"
REFRESH_S = 0.25
STALL_S = 60.0
FINISH_S = 15.0  # after Ctrl-C: for the messages in flight
INTERRUPTED = 130


def demo(
    messages: Annotated[
        int | None, typer.Option("--messages", "-n", min=1, help="Number of messages to send. Default: until Ctrl-C.")
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            "--model", "-m", metavar="SOURCE", help="Model to use: a directory, or an id of the Hugging Face hub."
        ),
    ] = None,
    bootstrap: Annotated[
        str | None,
        typer.Option(
            "--bootstrap",
            "-b",
            metavar="HOST:PORT",
            help="Use this broker instead of an in-memory one. "
            "The topics of the run (labelstream-demo.*) are deleted at the end.",
        ),
    ] = None,
) -> None:
    """Classify a stream of customer feedback on this machine: no broker, download or config is needed.

    Starts an in-memory broker, Ray, a small sentiment model and a page with live numbers for a browser. Sends texts
    that come with Labelstream, a few of them broken on purpose. Reads results and dead letters back from their topics,
    accounts for every message, and stops everything.

    Exit code 0: every message is accounted for. 1: at least one is not. 130: interrupted before that.
    """
    from labelstream.workers.config_file import forget_environment

    forget_environment("models", "pipelines", "http", *([] if bootstrap else ["kafka"]))  # settings of other runs
    run_in_new_session()
    code = INTERRUPTED
    with stops_on_signals():
        try:
            code = _demo(messages, model, bootstrap)
        except KeyboardInterrupt:
            typer.echo("interrupted; everything is stopped")
    raise typer.Exit(code)


def _demo(count: int | None, model: str | None, bootstrap: str | None) -> int:
    from labelstream.deploy.cli.common.connect import connect, kafka_settings, made_topics
    from labelstream.deploy.cli.demo.next_steps import next_steps
    from labelstream.deploy.cli.demo.stream import Feedback, topics_of
    from labelstream.deploy.cli.demo.view import Progress, name_of

    feedback, source, run_id = Feedback(), model or str(DEMO_MODEL), uuid.uuid4().hex[:8]
    _check_model(source)
    group, topics, progress = f"labelstream-demo-{run_id}", topics_of(run_id), Progress()
    with _broker(bootstrap) as address:
        progress.say(f"broker at {address}" if bootstrap else f"in-memory broker at {address}")
        progress.say(f"model: {name_of(source)}")
        broker = connect(kafka_settings(address, None))
        with made_topics(broker, topics, [group]):
            settings = _settings(address, source, topics, group)
            progress.step("broker", "topics created; starting Ray")
            from labelstream.deploy.cluster import runtime
            from labelstream.deploy.cluster.application import control_client, rollout

            with runtime.ray_for(settings), stops_on_signals():
                progress.step("Ray", "Ray runs; starting the model and the worker")
                rollout.deploy(settings)
                progress.step("model and worker", "model and worker run; the worker is joining its consumer group")
                _wait_for_partitions(control_client)
                progress.step("group", "everything runs; sending messages")
                progress.say(f"page with the live numbers: {settings.http.url}")
                code = _stream(control_client, broker, topics, feedback, count, source, progress)
            progress.say("everything is stopped")
    if code == 0:
        typer.echo("\n".join(["", *next_steps()]))
    return code


def _check_model(source: str) -> None:
    """Raises ModelError for a directory without a model, before Ray starts."""
    if source == str(DEMO_MODEL):
        if not (DEMO_MODEL / "config.json").is_file():
            raise ModelError(
                f"{DEMO_MODEL}: the demo's model is missing; install Labelstream again, or give another --model"
            )
        return
    from labelstream.workers.engine.loading.hub import resolve
    from labelstream.workers.model_source import is_path

    if is_path(source):
        resolve(source)


def _wait_for_partitions(client: Any) -> None:
    """Wait until the worker has its partitions; else the latency would include the first rebalance."""
    until = time.monotonic() + STALL_S
    while True:
        workers = client.status()["pipelines"].get(PIPELINE, {})
        if any(stats["state"] == "running" for stats in workers.values()):
            return
        if time.monotonic() > until:
            raise StartError(f"the worker was assigned no partitions within {STALL_S:.0f} s; {_why(client)}")
        time.sleep(REFRESH_S)


def _stream(client: Any, broker: Any, topics: Any, feedback: Any, count: int | None, source: str, progress: Any) -> int:
    """Send messages, read answers back, show progress and summary. Returns the exit code."""
    from labelstream.deploy.accounting import Accounting
    from labelstream.deploy.cli.demo.stream import Feeder, ReadBack
    from labelstream.deploy.cli.demo.view import shown, summary

    ledger, started, interrupted = Accounting(), time.monotonic(), False
    read_back = ReadBack(broker, topics, feedback, ledger)
    feeder = Feeder(broker, topics.input, feedback, count, ledger)
    try:
        with shown() as show:
            try:
                _watch(client, ledger, feeder, read_back, show, STALL_S)
            except KeyboardInterrupt:
                interrupted = count is not None
                feeder.stop()
                _watch(client, ledger, feeder, read_back, show, FINISH_S)
    finally:
        feeder.stop()
        read_back.stop()
    totals = ledger.totals()
    for line in summary(totals, time.monotonic() - started, progress.stages, source):
        typer.echo(line)
    if interrupted:
        return INTERRUPTED
    complete = not totals.missing and not totals.unexpected and (count is None or totals.sent == count)
    return 0 if complete else 1


def _watch(client: Any, ledger: Any, feeder: Any, read_back: Any, show: Any, stall_s: float) -> None:
    """Wait until every message has come back. Raises StartError if none comes back for `stall_s`."""
    last, last_at = -1, time.monotonic()
    while True:
        done, totals = feeder.done, ledger.totals()
        ledger.raise_failure()
        show(totals, read_back.recent)
        if done and not totals.missing:
            return
        if totals.accounted != last:
            last, last_at = totals.accounted, time.monotonic()
        elif time.monotonic() - last_at > stall_s:
            raise StartError(f"no message came back for {stall_s:.0f} s; {_why(client)}")
        time.sleep(REFRESH_S)


def _why(client: Any) -> str:
    """The worker's own status line."""
    from labelstream.deploy.cli.application.status_view import line
    from labelstream.deploy.control.summary import StatusView

    try:
        pipelines = StatusView().pipelines(client.status())
    except StartError as error:
        return str(error)
    return line(pipelines[0]) if pipelines else "no worker reports"


def _settings(address: str, source: str, topics: Any, group: str) -> Any:
    from labelstream.deploy.gateway.proxy.port_check import free_port
    from labelstream.workers.config_file import load_settings

    return load_settings(
        {
            "kafka": {"bootstrap_servers": address},
            "models": {MODEL: {"source": source, "max_delay_ms": 2}},
            "pipelines": {PIPELINE: {**topics._asdict(), "model": MODEL, "group_id": group, "commit_interval_ms": 500}},
            "http": {"port": free_port(), "page": True, "page_texts": True},
        }
    )


@contextmanager
def _broker(bootstrap: str | None) -> Iterator[str]:
    if bootstrap is not None:
        yield bootstrap
        return
    from labelstream.deploy.cli.topics.in_memory_broker import InMemoryBroker

    broker = InMemoryBroker()
    try:
        yield broker.bootstrap
    finally:
        broker.close()
