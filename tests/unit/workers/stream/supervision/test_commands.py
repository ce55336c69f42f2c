"""An operator's commands: obeyed, refused, too late."""

from collections.abc import Callable
from typing import Any

import pytest
from kafka.structs import TopicPartition

from labelstream.workers.errors import CommandRefused, StreamError
from labelstream.workers.stream.supervision.commands import STOPPED, TOO_LATE, CommandAnswer, Commands, execute
from tests.support.clock import Clock


class TestCommands:
    COMMAND = {"name": "resume"}  # noqa: RUF012

    @staticmethod
    def saying(answer: str | None) -> Callable[[object], str | None]:
        return lambda command: answer

    def test_they_are_tried_until_they_can_be_obeyed(self) -> None:
        commands = Commands(Clock())
        answer = commands.take(self.COMMAND, 30)
        commands.obey(self.saying(None))
        assert not answer.done()
        commands.obey(self.saying("gone on"))
        assert answer.result(0) == CommandAnswer("done", "gone on")
        commands.obey(self.saying("again?"))

    def test_one_that_is_too_late_is_not_obeyed(self) -> None:
        clock = Clock()
        commands = Commands(clock)
        answer = commands.take(self.COMMAND, 30)
        clock.now += 30
        commands.obey(self.saying("after all"))
        assert answer.result(0) == TOO_LATE

    def test_who_refuses_says_whether_it_is_his(self) -> None:
        for ours, status in ((True, "refused"), (False, "absent")):
            commands = Commands(Clock())
            answer = commands.take(self.COMMAND, 30)

            def refuse(command: object, ours: bool = ours) -> str | None:
                raise CommandRefused("no", ours)

            commands.obey(refuse)
            assert answer.result(0) == CommandAnswer(status, "no")  # type: ignore[arg-type]

    def test_the_end_answers_all(self) -> None:
        commands = Commands(Clock())
        before = commands.take(self.COMMAND, 30)

        def fail(command: object) -> str | None:
            raise StreamError("no broker")

        with pytest.raises(StreamError):
            commands.obey(fail)
        assert not before.done()
        commands.close()
        assert before.result(0) == commands.take(self.COMMAND, 30).result(0) == STOPPED


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
        assert self.execute(FakePipeline(7), {"name": "resume"}) == "goes on with 7 messages that were held"

    def test_resume_of_running_pipeline_is_refused(self) -> None:
        with pytest.raises(CommandRefused, match="it is not paused") as raised:
            self.execute(FakePipeline(None), {"name": "resume"})
        assert not raised.value.ours

    def test_skip_tells_how_far_it_went(self) -> None:
        pipeline = FakePipeline(2)
        assert self.execute(pipeline, self.SKIP) == "in:3 goes on at 9, 2 offsets are skipped"
        assert pipeline.skipped == [(TopicPartition("in", 3), 9)]

    def test_skip_that_is_not_yet_possible_waits(self) -> None:
        assert self.execute(FakePipeline(None), self.SKIP) is None
