"""What one may choose about a model: plain values, the same ones for the engine alone and for a replica. No torch."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from labelstream.workers.engine.description import HYPOTHESIS_TEMPLATE, TaskName

Share = Annotated[float, Field(ge=0, le=1)]


class ModelOptions(BaseModel):
    """How to load and use a model; `labelstream.workers.engine.loading.loader.load` checks them against it.

    `revision`: a commit, tag or branch of the hub. `problem_type`: in place of what the model's config says.
    `backend`: auto: OpenVINO on a CPU, where it is installed and answers as torch does.

    `quantize`: computes in 8 bits, with OpenVINO on a CPU. `calibration_texts`: a file of texts, one a line, by
    which it is done; None: made-up ones. `min_agreement`: the share of such texts whose labels must be float32's.

    `max_length`: tokens, at most what the model takes (None). `top_k`: labels per answer where a request does not say;
    None: all.

    `long_text`: "truncate" cuts, "windows" reads all of it. `truncate`: what is kept; None: as the tokenizer does.
    `stride`: tokens that neighbouring windows share, as transformers means it; None: a quarter of a window.
    `aggregate`: of the windows' scores. `max_windows`: what is behind is cut.

    `candidate_labels`, `hypothesis_template`, `multi_label`: of zero-shot, where a request does not say.
    `threshold`: the score from which on a label is accepted; None: 0.5 where labels are independent of each other, as a
    model's only label is, else the best label is always accepted. `thresholds`: of single labels, before `threshold`.

    `pooling`: how an embedding is made of the tokens' vectors, the mean of all or the first one's. `normalize`: to
    a length of 1. None: as the model's repository says (`modules.json`), else the mean, of any length.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    revision: str | None = None
    task: TaskName = TaskName.TEXT_CLASSIFICATION
    problem_type: Literal["single_label_classification", "multi_label_classification", "regression"] | None = None
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    backend: Literal["auto", "torch", "openvino"] = "auto"
    quantize: Literal["int8"] | None = None
    calibration_texts: Path | None = None
    min_agreement: Share = 0.99
    top_k: int | None = Field(default=5, ge=1)
    max_length: int | None = Field(default=None, ge=3)
    long_text: Literal["truncate", "windows"] = "truncate"
    truncate: Literal["head", "tail", "head_tail"] | None = None
    stride: int | None = Field(default=None, ge=0)
    aggregate: Literal["mean", "max"] = "mean"
    max_windows: int = Field(default=32, ge=1)
    candidate_labels: tuple[Annotated[str, Field(min_length=1, pattern=r"\S")], ...] = ()
    hypothesis_template: str = HYPOTHESIS_TEMPLATE
    multi_label: bool = False
    threshold: Share | None = None
    thresholds: dict[str, Share] = {}
    pooling: Literal["mean", "cls"] | None = None
    normalize: bool | None = None

    @model_validator(mode="after")
    def _together(self) -> Self:
        if self.long_text == "windows" and self.task is not TaskName.TEXT_CLASSIFICATION:
            raise ValueError("long_text windows is for task text-classification only: set it to truncate")
        if self.quantize and self.backend == "torch":
            raise ValueError("quantize is OpenVINO's: set backend to auto or openvino, or remove quantize")
        if (self.backend == "openvino" or self.quantize) and (self.device == "cuda" or self.dtype == "float16"):
            raise ValueError(
                "backend openvino and quantize are for CPUs: set device to cpu and dtype to auto, or backend to torch"
            )
        return self
