"""The section of one model: the engine's options, and how Ray Serve runs its replicas."""

from collections.abc import Iterator
from typing import Literal

from pydantic import Field

from labelstream.workers.engine.description import TaskName
from labelstream.workers.engine.options import ModelOptions
from labelstream.workers.settings.ranges import RangeFromZero, Replicas

_CLASSIFY, _ZERO_SHOT = TaskName.TEXT_CLASSIFICATION, TaskName.ZERO_SHOT
# Keys with the tasks that use them; other tasks refuse them.
_KEYS_OF_TASKS = {
    **dict.fromkeys(("problem_type", "label_names"), (_CLASSIFY,)),
    **dict.fromkeys(("candidate_labels", "hypothesis_template", "multi_label"), (_ZERO_SHOT,)),
    **dict.fromkeys(("threshold", "thresholds", "temperature", "quantize", "scores_order"), (_CLASSIFY, _ZERO_SHOT)),
    **dict.fromkeys(("pooling", "normalize"), (TaskName.EMBEDDING,)),
    "top_k": (_CLASSIFY, _ZERO_SHOT, TaskName.FILL_MASK),
}


class ModelSettings(ModelOptions):
    """One model: a Serve deployment whose replicas have one device each."""

    source: str = Field(
        min_length=1, description="Directory of the model, relative to the config file, or a hub id such as owner/name."
    )
    max_batch_tokens: int | None = Field(
        default=None,
        ge=16,
        description="Tokens per forward at most, padding included; null means 16384 on a GPU and 1024 on a CPU; lower"
        " it if memory runs out.",
    )
    max_delay_ms: float = Field(
        default=5.0, ge=0, le=10_000, description="Milliseconds that an idle replica waits for more calls to batch."
    )
    num_gpus: float | Literal["auto"] = Field(
        default="auto",
        description="GPUs that Ray reserves per replica; auto means 1 if the cluster has a GPU, else 0; fractions share"
        " a GPU.",
    )
    num_cpus: float = Field(
        default=1.0, ge=0, description="CPU cores that Ray reserves per replica; Ray places replicas by this number."
    )
    threads: int | None = Field(
        default=None, ge=1, description="Threads of a replica on a CPU; null means one per usable core."
    )
    replicas: Replicas = Field(
        default=RangeFromZero(), description="Number of replicas, or a range in which the backlog decides."
    )
    call_timeout_s: float = Field(
        default=120.0,
        gt=0,
        description="Seconds that a worker retries a call, in addition to its computing time, before the model counts"
        " as unavailable.",
    )

    def problems(self) -> Iterator[str]:
        yield from super().problems()
        for key, tasks in _KEYS_OF_TASKS.items():
            if self.task not in tasks and getattr(self, key) != type(self).model_fields[key].default:
                yield f"{key} has no effect with task {self.task}: remove {key}, or set another task"
        if len(set(self.candidate_labels)) < len(self.candidate_labels):
            yield "candidate_labels repeat: name each label once"
        if self.long_text == "truncate" and (self.stride is not None or self.aggregate != "mean"):
            yield "stride and aggregate have no effect with long_text truncate: set long_text to windows"
        if self.quantize is None and (self.calibration_texts is not None or self.min_agreement != 0.99):
            yield "calibration_texts and min_agreement have no effect without quantize: set quantize to int8"
