"""Options that the benchmarks share."""

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
        help="The model: a directory, or an id of the Hugging Face hub. Default: the demo's model, which is too small "
        "for meaningful figures.",
    ),
]
Texts = Annotated[
    Path | None, typer.Option(metavar="FILE", help="File with one text per line. Default: synthetic texts.")
]
Count = Annotated[int, typer.Option(min=1, help="Number of texts per round, all different.")]
MeanTokens = Annotated[int, typer.Option(min=4, help="Mean length of synthetic texts in tokens, with special tokens.")]
Dtype = Annotated[str, typer.Option(metavar="DTYPE", help="auto, float32, bfloat16 or float16.")]
Device = Annotated[str, typer.Option(metavar="DEVICE", help="auto, cpu or cuda.")]
Rounds = Annotated[int, typer.Option(min=1, help="Number of alternating rounds. The medians are reported.")]
JsonFile = Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Also write the figures to this file.")]
