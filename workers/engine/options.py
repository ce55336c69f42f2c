"""What one may choose about a model: plain values, the same ones for the engine alone and for a replica. No torch."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from labelstream.workers.engine.description import HYPOTHESIS_TEMPLATE, TaskName
from labelstream.workers.section import Section

Share = Annotated[float, Field(ge=0, le=1)]


class ModelOptions(Section):
    """How to load and use a model; `labelstream.workers.engine.loading.loader.load` checks them against it."""

    revision: str | None = Field(
        default=None, description="Commit, tag or branch of a hub model; a commit pins it. Not for a directory."
    )
    task: TaskName = Field(default=TaskName.TEXT_CLASSIFICATION, description="What the model does, in the hub's words.")
    problem_type: Literal["single_label_classification", "multi_label_classification", "regression"] | None = Field(
        default=None, description="How to read the model's scores, in place of what the model's own config says."
    )
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        default="auto", description="Number format of the computation; auto is the fastest that the device does well."
    )
    device: Literal["auto", "cpu", "cuda"] = Field(
        default="auto", description="Where the model runs; auto is the GPU where there is one, else the CPU."
    )
    backend: Literal["auto", "torch", "openvino"] = Field(
        default="auto",
        description="The runtime; auto is OpenVINO on a CPU where it is installed and answers as torch does.",
    )
    quantize: Literal["int8"] | None = Field(
        default=None, description="Whether to compute in 8 bits, with OpenVINO on a CPU; null does not."
    )
    calibration_texts: Path | None = Field(
        default=None, description="File of texts, one a line, by which `quantize` is done; null is made-up texts."
    )
    min_agreement: Share = Field(
        default=0.99,
        description="Share of the calibration texts, 0 to 1, whose labels int8 must get as float32 does.",
    )
    top_k: int | None = Field(
        default=5, ge=1, description="Number of labels per answer where a message does not say; null is all of them."
    )
    max_length: int | None = Field(
        default=None, ge=3, description="Tokens of a text that are read at once; null is what the model takes."
    )
    long_text: Literal["truncate", "windows"] = Field(
        default="truncate", description="What becomes of a text over `max_length`: cut, or read in windows."
    )
    truncate: Literal["head", "tail", "head_tail"] | None = Field(
        default=None, description="Which part of a cut text is kept; null is as the tokenizer does."
    )
    stride: int | None = Field(
        default=None,
        ge=0,
        description="Tokens that neighbouring windows share, as transformers means it; null is a quarter of a window.",
    )
    aggregate: Literal["mean", "max"] = Field(
        default="mean", description="How the scores of a text's windows become one score."
    )
    max_windows: int = Field(
        default=32, ge=1, description="Number of windows of a text that are read at most; the rest is cut."
    )
    candidate_labels: tuple[Annotated[str, Field(min_length=1, pattern=r"\S")], ...] = Field(
        default=(), description="Labels of zero-shot classification, where a message does not say."
    )
    hypothesis_template: str = Field(
        default=HYPOTHESIS_TEMPLATE,
        description="Sentence of zero-shot classification with {} for the label, where a message does not say.",
    )
    multi_label: bool = Field(
        default=False,
        description="Whether zero-shot labels are independent of each other, where a message does not say.",
    )
    threshold: Share | None = Field(
        default=None,
        description="Score, 0 to 1, from which on a label is accepted; null is 0.5 where labels are independent of each"
        " other, else the best label is always accepted.",
    )
    thresholds: dict[str, Share] = Field(
        default={}, description="Scores, 0 to 1, from which on single labels are accepted; they win over `threshold`."
    )
    pooling: Literal["mean", "cls"] | None = Field(
        default=None,
        description="How an embedding is made of the tokens' vectors; null is as the model's repository says, else"
        " mean.",
    )
    normalize: bool | None = Field(
        default=None,
        description="Whether embeddings get a length of 1; null is as the model's repository says, else false.",
    )

    def problems(self) -> Iterator[str]:
        if self.long_text == "windows" and self.task is not TaskName.TEXT_CLASSIFICATION:
            yield "long_text windows is for task text-classification only: set it to truncate"
        if self.quantize and self.backend == "torch":
            yield "quantize is OpenVINO's: set backend to auto or openvino, or remove quantize"
        if (self.backend == "openvino" or self.quantize) and (self.device == "cuda" or self.dtype == "float16"):
            yield "backend openvino and quantize are for CPUs: set device to cpu and dtype to auto, or backend to torch"
