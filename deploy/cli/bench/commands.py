"""`labelstream bench`: benchmarks a model on this machine."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from labelstream.deploy.cli.bench import view
from labelstream.deploy.cli.bench.backends import backends
from labelstream.deploy.cli.bench.options import Count, Device, Dtype, JsonFile, MeanTokens, Model, Rounds, Texts
from labelstream.deploy.cli.common.arguments import DEMO_MODEL
from labelstream.deploy.cli.common.connect import OptionalConfig, connect, kafka_settings
from labelstream.deploy.cli.common.console import say, stops_on_signals
from labelstream.deploy.cli.common.examples import examples
from labelstream.deploy.cli.common.process_group import run_in_new_session
from labelstream.workers.errors import ConfigError

TASKS = ("text-classification", "zero-shot-classification")
bench = typer.Typer(
    name="bench",
    help="Benchmark a model on this machine against plain transformers and Ray Serve.",
    no_args_is_help=True,
)

Task = Annotated[str, typer.Option(metavar="TASK", help="text-classification or zero-shot-classification.")]
Labels = Annotated[str, typer.Option(metavar="A,B,...", help="Candidate labels for zero-shot-classification.")]

bench.command()(backends)


@bench.command()
def engine(
    model: Model = str(DEMO_MODEL),
    texts: Texts = None,
    count: Count = 1_000,
    mean_tokens: MeanTokens = 32,
    task: Task = TASKS[0],
    labels: Labels = "",
    dtype: Dtype = "auto",
    device: Device = "auto",
    rounds: Rounds = 5,
    json_file: JsonFile = None,
) -> None:
    """Compare the engine with transformers' pipeline, each with its best batch size, in alternating rounds."""
    candidates = _candidates(task, labels)
    from labelstream.deploy.bench.suites.engine import Plan, measure

    figures = measure(Plan(model, texts, count, mean_tokens, dtype, device, rounds, task, candidates), say)
    view.show(figures, "texts sent one by one")
    view.show_dtype(figures["engine"], dtype)
    view.show_limit(figures)
    view.write(figures, json_file)


@bench.command()
def serve(
    model: Model = str(DEMO_MODEL),
    texts: Texts = None,
    count: Count = 1_000,
    mean_tokens: MeanTokens = 32,
    dtype: Dtype = "auto",
    device: Device = "auto",
    rounds: Rounds = 5,
    json_file: JsonFile = None,
) -> None:
    """Compare a model replica of Labelstream with a textbook replica: `@serve.batch` around transformers' pipeline.

    Both run on a local Ray without Kafka, with the same texts and dtype, in alternating rounds.
    """
    run_in_new_session()
    with _stopping():
        from labelstream.deploy.bench.suites.engine import Plan
        from labelstream.deploy.bench.suites.serving import measure

        figures = measure(Plan(model, texts, count, mean_tokens, dtype, device, rounds), say)
    view.show(figures, "calls with one text, one by one")
    view.show_dtype(figures["serve"], dtype)
    view.show_limit(figures)
    view.write(figures, json_file)


@bench.command(epilog=examples("bench stream"))
def stream(
    model: Model = str(DEMO_MODEL),
    texts: Texts = None,
    count: Count = 1_000,
    mean_tokens: MeanTokens = 32,
    dtype: Dtype = "auto",
    device: Device = "auto",
    rounds: Rounds = 5,
    bootstrap: Annotated[
        str | None,
        typer.Option(
            "--bootstrap",
            "-b",
            metavar="HOST:PORT",
            help="A broker without TLS and login. Default: an in-memory broker. "
            "The topics of the run (labelstream-bench.*) are deleted at the end.",
        ),
    ] = None,
    config: OptionalConfig = None,
    light: Annotated[
        int, typer.Option(min=1, help="Number of messages that are sent one by one, for the latency.")
    ] = 100,
    null_count: Annotated[
        int, typer.Option(min=1, help="Messages per round, for the CPU time of the worker alone.")
    ] = 20_000,
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE.png", help="Measure rising loads, and plot throughput against latency.")
    ] = None,
    load_s: Annotated[float, typer.Option(min=0.1, help="With --plot: seconds of each load.")] = 15.0,
    json_file: JsonFile = None,
) -> None:
    """Compare the whole stream, topic to topic, with the engine alone and with transformers' pipeline.

    Runs on a local Ray, in alternating rounds. Also measures the worker's CPU time per message with a model that takes
    no time, and the latency of single messages.
    """
    if plot is not None:
        from labelstream.deploy.bench.measures.plot import pyplot

        pyplot()  # fails before the work if matplotlib is missing
    run_in_new_session()
    with _stopping(), _broker(bootstrap, config) as (kafka, in_memory):
        from labelstream.deploy.bench.suites.stream import StreamPlan, measure
        from labelstream.deploy.cli.common.connect import made_topics

        plan = StreamPlan(
            model,
            texts,
            count,
            mean_tokens,
            dtype,
            device,
            rounds,
            kafka=kafka,
            run=uuid.uuid4().hex[:8],
            paced=in_memory,
            light=light,
            load_s=load_s if plot else 0.0,
            null_count=null_count,
        )
        with made_topics(connect(kafka), plan.topics(), plan.groups()):
            figures = measure(plan, say)
    view.show(figures, "messages sent one by one, from the timestamp to the result")
    view.show_stream(figures)
    view.show_dtype(figures["engine"], dtype)
    view.show_limit(figures)
    view.write(figures, json_file)
    if plot is not None:
        from labelstream.deploy.bench.measures.plot import against_latency

        against_latency(figures, f"topic to topic, {Path(model).name}, {figures['engine']['dtype']}", plot)


def _candidates(task: str, labels: str) -> tuple[str, ...]:
    found = tuple(label.strip() for label in labels.split(",") if label.strip())
    if task not in TASKS:
        raise ConfigError("--task", f"unknown task {task!r}", f"give one of {', '.join(TASKS)}")
    if bool(found) != (task == TASKS[1]):
        raise ConfigError("--labels", "needed exactly with --task zero-shot-classification", "give both or neither")
    return found


@contextmanager
def _stopping() -> Iterator[None]:
    with stops_on_signals():
        try:
            yield
        except KeyboardInterrupt:
            say("interrupted; everything is stopped")
            raise typer.Exit(130) from None


@contextmanager
def _broker(bootstrap: str | None, config: Path | None) -> Iterator[tuple[Any, bool]]:
    """The KafkaSettings, and whether the broker is in memory. An in-memory broker ends with the context."""
    if bootstrap or config:
        from labelstream.workers.stream.broker.connection import is_in_memory

        kafka = kafka_settings(bootstrap, config)
        yield kafka, is_in_memory(connect(kafka).config)
        return
    from labelstream.deploy.cli.topics.in_memory_broker import InMemoryBroker
    from labelstream.workers.config_file import forget_environment

    forget_environment("kafka")
    broker = InMemoryBroker()
    try:
        yield kafka_settings(broker.bootstrap, None), True
    finally:
        broker.close()
