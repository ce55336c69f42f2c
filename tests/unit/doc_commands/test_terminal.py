"""What a person sees of what a command writes to its terminal."""

from pathlib import Path

from tests.docs.terminal import Screen, Terminal


def test_screen_replaces_the_lines_that_are_erased() -> None:
    screen = Screen()
    screen.feed("before\r\nold 1\r\nold 2\r\x1b[2K\x1b[1A\x1b[2Knew 1\r\nnew 2\r\nafter")
    assert screen.plain == ["before", "new 1", "new 2", "after"]


def test_screen_keeps_colours_for_pictures_alone() -> None:
    screen = Screen()
    screen.feed("\x1b[31mred\x1b[0m  ")
    assert (screen.plain, screen.styled) == (["red"], ["\x1b[31mred\x1b[0m  "])


def test_carriage_return_replaces_a_progress_line() -> None:
    screen = Screen()
    screen.feed("10%\r20%\r\ndone\r\n")
    assert screen.plain == ["20%", "done", ""]


def test_command_has_a_terminal_of_80_columns_and_a_keyboard(tmp_path: Path) -> None:
    terminal = Terminal("tput cols; read -p 'sure?' answer; echo got $answer; exit 3", tmp_path)
    try:
        terminal.wait_for(lambda lines: lines[-1] == "sure?", 10)
        terminal.type("yes\n")
        assert terminal.wait(10) == 3
        assert terminal.screen.plain[:3] == ["80", "sure?yes", "got yes"]
    finally:
        terminal.close()


def test_ctrl_c_ends_a_command(tmp_path: Path) -> None:
    terminal = Terminal("echo ready; sleep 60", tmp_path)
    try:
        terminal.wait_for(lambda lines: "ready" in lines, 10)
        terminal.press_ctrl_c()
        assert terminal.wait(10) != 0
    finally:
        terminal.close()
