"""An operator's commands: obeyed, refused, too late."""

from collections.abc import Callable

import pytest

from labelstream.workers.errors import CommandRefused, StreamError
from labelstream.workers.stream.supervision.commands import STOPPED, TOO_LATE, Command, CommandAnswer, Commands
from tests.support.clock import Clock


class TestCommands:
    COMMAND: Command = {"name": "resume"}  # noqa: RUF012

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
