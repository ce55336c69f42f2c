"""What a pipeline does on an operator's commands."""

from typing import Any

import pytest
from kafka.structs import TopicPartition

from labelstream.workers.errors import CommandRefused
from labelstream.workers.stream.supervision.execution import execute


class FakePipeline:
    """Stands in for Pipeline: `answer` is what each command gives."""

    def __init__(self, answer: int | None) -> None:
        self.answer = answer
        self.skipped: list[tuple[TopicPartition, int]] = []

    def resume(self) -> int | None:
        return self.answer

    def skip(self, partition: TopicPartition, offset: int) -> int | None:
        self.skipped.append((partition, offset))
        return self.answer


class TestExecute:
    SKIP = {"name": "skip", "topic": "in", "partition": 3, "offset": 9}  # noqa: RUF012

    @staticmethod
    def execute(pipeline: FakePipeline, command: Any) -> str | None:
        return execute(pipeline, command)  # type: ignore[arg-type]

    def test_resume_tells_how_much_was_held(self) -> None:
        assert self.execute(FakePipeline(7), {"name": "resume"}) == "resumed; 7 held messages are produced"

    def test_resume_of_running_pipeline_is_refused(self) -> None:
        with pytest.raises(CommandRefused, match="the pipeline is not paused") as raised:
            self.execute(FakePipeline(None), {"name": "resume"})
        assert not raised.value.ours

    def test_skip_tells_how_far_it_went(self) -> None:
        pipeline = FakePipeline(2)
        assert self.execute(pipeline, self.SKIP) == "in:3 resumes at 9; 2 offsets are skipped"
        assert pipeline.skipped == [(TopicPartition("in", 3), 9)]

    def test_skip_that_is_not_yet_possible_waits(self) -> None:
        assert self.execute(FakePipeline(None), self.SKIP) is None

    def test_skip_without_a_place_is_refused(self) -> None:
        pipeline = FakePipeline(2)
        with pytest.raises(CommandRefused, match="skip needs topic, partition and offset"):
            self.execute(pipeline, {"name": "skip"})
        assert pipeline.skipped == []
