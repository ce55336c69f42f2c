"""What one may choose about a model: plain values, the same ones for the engine alone and for a replica. No torch."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

HYPOTHESIS_TEMPLATE = "This example is {}."  # transformers' default


@dataclass(frozen=True, kw_only=True)
class ModelOptions:
    """How to load and use a model; `labelstream.workers.engine.loading.loader.load` checks them against it.

    `revision`: a commit, tag or branch of the hub. `task`: one of `labelstream.workers.engine.description.TaskName`.
    `device`: "auto" | "cpu" | "cuda". `dtype`: "auto" | "float32" | "bfloat16" | "float16".
    `backend`: "auto" | "torch" | "openvino"; auto: OpenVINO on a CPU, where it is installed and answers as torch does.

    `quantize`: "int8" computes in 8 bits, with OpenVINO on a CPU. `calibration_texts`: a file of texts, one a line, by
    which it is done; None: made-up ones. `min_agreement`: the share of such texts whose labels must be float32's.

    `max_length`: tokens, at most what the model takes (None). `top_k`: labels per answer where a request does not say;
    None: all. `problem_type`: transformers' name of one, in place of what the model's config says.

    `long_text`: "truncate" cuts, "windows" reads all of it. `truncate`: what is kept, "head" | "tail" | "head_tail";
    None: as the tokenizer does. `stride`: tokens that neighbouring windows share, as transformers means it; None: a
    quarter of a window. `aggregate`: "mean" | "max" of the windows' scores. `max_windows`: what is behind is cut.

    `candidate_labels`, `hypothesis_template`, `multi_label`: of zero-shot, where a request does not say.
    `threshold`: the score from which on a label is accepted; None: 0.5 where labels are independent of each other, as a
    model's only label is, else the best label is always accepted. `thresholds`: of single labels, before `threshold`.

    `pooling`: how an embedding is made of the tokens' vectors, "mean" of all or "cls", the first one's. `normalize`: to
    a length of 1.
    """

    revision: str | None = None
    task: str = "text-classification"
    device: str = "auto"
    dtype: str = "auto"
    backend: str = "auto"
    quantize: str | None = None
    calibration_texts: Path | None = None
    min_agreement: float = 0.99
    max_length: int | None = None
    top_k: int | None = 5
    problem_type: str | None = None
    long_text: str = "truncate"
    truncate: str | None = None
    stride: int | None = None
    aggregate: str = "mean"
    max_windows: int = 32
    candidate_labels: tuple[str, ...] = ()
    hypothesis_template: str = HYPOTHESIS_TEMPLATE
    multi_label: bool = False
    threshold: float | None = None
    thresholds: Mapping[str, float] = field(default_factory=dict)
    pooling: str = "mean"
    normalize: bool = False
