"""`labelstream bench`: what this machine does with a model and texts of one's own."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from deploy.cli.classify import DEMO_MODEL
from deploy.cli.terminal import out, say

bench = typer.Typer(name="bench", help="Measure a model on this machine, on texts of your own.", no_args_is_help=True)


@bench.callback()
def _group() -> None:
    """A group, though it has one command so far."""


@bench.command()
def engine(
    model: Annotated[
        str, typer.Option("--model", "-m", metavar="SOURCE", help="A directory, or a model of the hub. Default: the "
                                                                  "demo's, which is too small to say much.")
    ] = str(DEMO_MODEL),
    texts: Annotated[Path | None, typer.Option(help="A file with one text per line. Default: made-up texts.")] = None,
    count: Annotated[int, typer.Option(min=1, help="How many texts are classified in a round.")] = 1_000,
    mean_tokens: Annotated[int, typer.Option(min=4, help="Of made-up texts, special tokens included.")] = 32,
    dtype: Annotated[str, typer.Option(help="auto, float32, bfloat16 or float16.")] = "auto",
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    rounds: Annotated[int, typer.Option(min=1, help="Alternating runs; the medians are reported.")] = 5,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the figures there as well.")] = None,
) -> None:
    """The engine alone beside transformers' pipeline, each with its best batch size, in alternating rounds."""
    from deploy.bench.engine import Plan, measure

    figures = measure(Plan(model, texts, count, mean_tokens, dtype, device, rounds), say)
    _show(figures)
    if json_file is not None:
        json_file.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


def _show(figures: dict[str, Any]) -> None:
    from rich.table import Table

    of_engine, pipeline = figures["engine"], figures["pipeline"]
    table = Table("way", "texts/s", "batches", title=figures["hardware"], title_justify="left")
    table.add_row(f"engine, {of_engine['dtype']}", f"{of_engine['texts_per_s']:.1f}",
                  f"{of_engine['max_batch_tokens']} tokens")
    table.add_row("pipeline, same dtype", f"{pipeline['same_dtype_texts_per_s']:.1f}",
                  f"{pipeline['same_dtype_batch_size']} texts")
    table.add_row("pipeline, its defaults", f"{pipeline['default_texts_per_s']:.1f}",
                  f"{pipeline['default_batch_size']} texts")
    console = out()
    console.print(table)
    for name, ratio in figures["ratios"].items():
        console.print(f"{name}: {ratio:.2f}", highlight=False)
    console.print(f"MFU {of_engine['mfu']:.2f} of {figures['matmul_peak_gflops']:.0f} GFLOP/s, padding "
                  f"{of_engine['padding_waste']:.1%}, tokenizing {of_engine['tokenize_us_per_text']:.1f} us per text; "
                  f"{figures['texts']['mean_tokens']:.0f} tokens per text", highlight=False)
    console.print(f"what limits: {figures['limit']}", highlight=False)
