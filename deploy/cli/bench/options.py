"""The options that the benchmarks share."""

from pathlib import Path
from typing import Annotated

import typer

Model = Annotated[
    str,
    typer.Option(
        "--model",
        "-m",
        metavar="SOURCE",
        show_default=False,  # the path of this checkout
        help="A directory, or a model of the hub. Default: the demo's, which is too small to say much.",
    ),
]
Texts = Annotated[Path | None, typer.Option(help="A file with one text per line. Default: made-up texts.")]
Count = Annotated[int, typer.Option(min=1, help="How many texts are classified in a round, no two the same.")]
MeanTokens = Annotated[int, typer.Option(min=4, help="Of made-up texts, special tokens included.")]
Dtype = Annotated[str, typer.Option(help="auto, float32, bfloat16 or float16.")]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda.")]
Rounds = Annotated[int, typer.Option(min=1, help="Alternating runs; the medians are reported.")]
JsonFile = Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write the figures there as well.")]
