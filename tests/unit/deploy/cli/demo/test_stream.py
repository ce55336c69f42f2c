"""The demo's messages: the lines of a file in a loop, with fresh ids."""

from pathlib import Path

import pytest

from labelstream.deploy.cli.demo.stream import Feedback
from labelstream.workers.errors import StartError


class TestFeedback:
    def test_rounds_get_fresh_ids_and_change_nothing_else(self, tmp_path: Path) -> None:
        lines = [b'{"id": "a-1", "text": "one"}', b"no JSON", b'{"text": "x \\ud800", "id": "a-2", "id": "b"}']
        (tmp_path / "lines").write_bytes(b"\n".join(lines) + b"\n")
        feedback = Feedback(tmp_path / "lines")
        assert [feedback.message(index) for index in range(3)] == lines
        assert feedback.message(3) == b'{"id": "a-1#2", "text": "one"}'
        assert feedback.message(7) == b"no JSON"
        assert feedback.message(8) == b'{"text": "x \\ud800", "id": "a-2#3", "id": "b"}'
        assert (feedback.text("a-1"), feedback.text("a-1#2"), feedback.text("other")) == ("one", "one", "")

    def test_shipped_messages_are_printable(self) -> None:
        feedback = Feedback()
        assert all(feedback.message(index) for index in range(500))
        assert "".join(feedback.text(f"fb-{number}") for number in range(1000, 1100)).isprintable()

    def test_missing_file_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(StartError, match="install Labelstream again"):
            Feedback(tmp_path / "none")
