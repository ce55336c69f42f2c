"""`labelstream bench backends`: compares the backends for a model on this machine's CPU."""

from pathlib import Path
from typing import Annotated, Any

import typer

from labelstream.deploy.cli.bench import view
from labelstream.deploy.cli.bench.options import Count, JsonFile, MeanTokens, Model, Rounds
from labelstream.deploy.cli.common.arguments import DEMO_MODEL
from labelstream.deploy.cli.common.console import out, say


def backends(
    model: Model = str(DEMO_MODEL),
    texts: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="File with one text per line, also for calibration of int8. Default: synthetic texts."
        ),
    ] = None,
    count: Count = 500,
    mean_tokens: MeanTokens = 32,
    dtype: Annotated[str, typer.Option(metavar="DTYPE", help="auto, float32 or bfloat16.")] = "auto",
    quantize: Annotated[bool, typer.Option(help="Also measure OpenVINO in int8.")] = True,
    others: Annotated[
        bool, typer.Option(help="Also measure torch.compile, and ONNX Runtime if it is installed.")
    ] = False,
    rounds: Rounds = 5,
    json_file: JsonFile = None,
) -> None:
    """Compare torch, OpenVINO, and OpenVINO in int8 on the same batches: their speed, and how often labels agree."""
    from labelstream.deploy.bench.suites.backends import BackendsPlan, measure

    figures = measure(BackendsPlan(model, texts, count, mean_tokens, dtype, rounds, quantize, others), say)
    _show(figures)
    view.write(figures, json_file)


def _show(figures: dict[str, Any]) -> None:
    from rich.table import Table

    table = Table(
        "backend",
        "dtype",
        "texts/s",
        "of torch",
        "float32's label",
        "start, s",
        title=figures["hardware"],
        title_justify="left",
    )
    for name, found in figures["backends"].items():
        table.add_row(
            name,
            found["dtype"],
            f"{found['texts_per_s']:.1f}",
            f"{found['of_torch']:.2f}",
            f"{found['agreement']:.2%}",
            f"{found['start_s']:.1f}",
        )
    out().print(table)
