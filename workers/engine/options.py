"""The options of a model: plain values, for `Engine.load` and for a replica alike. No torch."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from labelstream.workers.engine.description import HYPOTHESIS_TEMPLATE, TaskName
from labelstream.workers.section import Section

# Beyond these bounds each score is 0, 1 or that of a guess.
MIN_TEMPERATURE, MAX_TEMPERATURE = 0.01, 100.0
Share = Annotated[float, Field(ge=0, le=1)]


class ModelOptions(Section):
    """How to load and use a model. `loading.loader.load` checks the options against the model."""

    revision: str | None = Field(
        default=None, description="Commit, tag or branch of a hub model; only a commit pins it; not for a directory."
    )
    task: TaskName = Field(
        default=TaskName.TEXT_CLASSIFICATION, description="Task of the model, by the name of transformers' pipeline."
    )
    problem_type: Literal["single_label_classification", "multi_label_classification", "regression"] | None = Field(
        default=None,
        description="Kind of scores: softmax, sigmoid or raw numbers; null means the problem_type of the model's"
        " config.json.",
    )
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        default="auto",
        description="Number format of the computation; auto means half precision if the device is clearly faster in"
        " it, else float32.",
    )
    device: Literal["auto", "cpu", "cuda"] = Field(
        default="auto", description="Device that runs the model; auto means a GPU if there is one, else the CPU."
    )
    backend: Literal["auto", "torch", "openvino"] = Field(
        default="auto",
        description="Runtime of the model; auto means OpenVINO on a CPU if it is installed and gives torch's answers,"
        " else torch.",
    )
    quantize: Literal["int8"] | None = Field(
        default=None, description="Quantization to 8 bits by OpenVINO, faster on CPUs with VNNI; null means none."
    )
    calibration_texts: Path | None = Field(
        default=None,
        description="File with typical texts, one per line, that calibrate and check `quantize`; null uses synthetic"
        " texts.",
    )
    min_agreement: Share = Field(
        default=0.99,
        description="Share of the check texts, 0 to 1, for which int8 must give float32's labels; below it the model"
        " is refused.",
    )
    top_k: int | None = Field(
        default=5, ge=1, description="Number of labels per answer if a message does not set it; null means all labels."
    )
    max_length: int | None = Field(
        default=None,
        ge=3,
        description="Tokens of a sequence at most, with special tokens; null means the model's limit.",
    )
    long_text: Literal["truncate", "windows"] = Field(
        default="truncate",
        description="Handling of a text longer than `max_length`: truncate it, or classify overlapping windows of it.",
    )
    truncate: Literal["head", "tail", "head_tail"] | None = Field(
        default=None, description="Part of a truncated text that is kept; null means the tokenizer's truncation side."
    )
    stride: int | None = Field(
        default=None,
        ge=0,
        description="Tokens that neighboring windows share, as transformers' `stride`; null means a quarter of"
        " `max_length`.",
    )
    aggregate: Literal["mean", "max"] = Field(
        default="mean", description="Score of a label for a text in windows: the mean or the maximum over the windows."
    )
    max_windows: int = Field(
        default=32, ge=1, description="Number of windows per text at most; the rest of the text is not read."
    )
    candidate_labels: tuple[Annotated[str, Field(min_length=1, pattern=r"\S")], ...] = Field(
        default=(), description="Labels that zero-shot classification chooses from if a message does not name any."
    )
    hypothesis_template: str = Field(
        default=HYPOTHESIS_TEMPLATE,
        description="Sentence that zero-shot classification puts a label into, in place of {}, if a message does not"
        " set it.",
    )
    multi_label: bool = Field(
        default=False,
        description="Whether zero-shot labels are independent of each other (true), or exclude each other (false), if a"
        " message does not set it.",
    )
    threshold: Share | None = Field(
        default=None,
        description="Score, 0 to 1, from which a label is accepted; null means 0.5 for independent labels; of exclusive"
        " labels the best is then always accepted.",
    )
    thresholds: dict[str, Share] = Field(
        default={}, description="Scores, 0 to 1, by label, from which a label is accepted; override `threshold`."
    )
    temperature: float | None = Field(
        default=None,
        ge=MIN_TEMPERATURE,
        le=MAX_TEMPERATURE,
        description="Number that divides the logits before softmax or sigmoid: above 1 lowers high scores, below 1"
        " raises them; null means 1. `labelstream evaluate --calibrate` fits the number.",
    )
    label_names: dict[str, Annotated[str, Field(pattern=r"\S")]] = Field(
        default={},
        description="New names of labels, by their names in the model's config.json; results, metrics and `thresholds`"
        " use the new names.",
    )
    scores_order: Literal["score", "model"] = Field(
        default="score",
        description="Order of a result's scores: from the best label down, or the model's order of its labels; a result"
        " has the `top_k` best labels in either order.",
    )
    pooling: Literal["mean", "cls"] | None = Field(
        default=None,
        description="Embedding of a text: the mean of its tokens' vectors, or the first token's; null means the"
        " choice of the model's repository, else mean.",
    )
    normalize: bool | None = Field(
        default=None,
        description="Whether embeddings are scaled to length 1; null means the choice of the model's repository, else"
        " false.",
    )

    def problems(self) -> Iterator[str]:
        if self.long_text == "windows" and self.task is not TaskName.TEXT_CLASSIFICATION:
            yield "long_text windows needs task text-classification: set long_text to truncate"
        if self.quantize and self.backend == "torch":
            yield "quantize needs OpenVINO: set backend to auto or openvino, or remove quantize"
        if (self.backend == "openvino" or self.quantize) and (self.device == "cuda" or self.dtype == "float16"):
            yield "backend openvino and quantize need a CPU: set device to cpu and dtype to auto, or backend to torch"
