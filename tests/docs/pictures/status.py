"""`python -m tests.docs.pictures.status OUT.svg`: `labelstream status` beside a real run, as an SVG."""

import argparse
import re
import tempfile
from pathlib import Path

from tests.docs.pictures.recording import cut, svg
from tests.docs.terminal import Terminal
from tests.support.command import ROOT

FEEDBACK = ROOT / "deploy" / "demo" / "feedback.jsonl"  # 200 messages
STREAM = f"while sleep 0.4; do cat {FEEDBACK}; done | labelstream produce -c labelstream.yaml feedback --raw"
ADDRESS = r"127\.0\.0\.1:\d+"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    out = parser.parse_args().out
    command = "labelstream status"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        running: list[Terminal] = []
        try:
            broker = _start(running, "labelstream broker", folder, ADDRESS)
            _run(f"labelstream init -b {broker}", folder)
            _start(running, "labelstream run -c labelstream.yaml", folder, "everything runs")
            running.append(Terminal(STREAM, folder))
            shown = _run(f"sleep 30; {command}", folder)
        finally:
            for terminal in reversed(running):
                terminal.press_ctrl_c()
                terminal.wait(120)
                terminal.close()
    lines = cut(shown.screen.styled, shown.screen.plain, "", None)
    out.write_text(svg([f"\x1b[1m$ {command}\x1b[0m", *lines], command), encoding="utf-8")


def _start(running: list[Terminal], command: str, folder: Path, until: str) -> str:
    """What of the output is found by the regex `until`, as soon as it is there."""
    running.append(Terminal(command, folder))
    running[-1].wait_for(lambda lines: bool(re.search(until, "\n".join(lines))), 240)
    found = re.search(until, "\n".join(running[-1].screen.plain))
    assert found
    return found.group()


def _run(command: str, folder: Path) -> Terminal:
    terminal = Terminal(command, folder)
    try:
        assert terminal.wait(120) == 0, terminal.told("failed")
    finally:
        terminal.close()
    return terminal


if __name__ == "__main__":
    main()
