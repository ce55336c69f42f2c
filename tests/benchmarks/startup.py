"""Measures the time until commands are ready, wall clock and CPU, as medians, beside another checkout.

    python -m tests.benchmarks.startup [--beside CHECKOUT] [--rounds 5] [--only classify run] [--json FILE]

Each round starts each command once from each checkout, so that other load affects all of them alike. A checkout has a
`.venv` of its own (`make venv`). The broker is the in-memory one of this checkout, the model the demo's.
"""

import argparse
import json
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from labelstream.deploy.cli.topics.in_memory_broker import InMemoryBroker

ROOT = Path(__file__).parents[2]
TIMEOUT_S = 600.0
_TICKS = os.sysconf("SC_CLK_TCK")


class Took(NamedTuple):
    """`cpu_s`: of the command and all its descendants, until it is ready."""

    wall_s: float
    cpu_s: float


class Case(NamedTuple):
    """A command, and the text in its output that ends the measurement; None: the end of the command."""

    arguments: tuple[str, ...]
    ready: str | None = None


def cases_for(config: Path) -> dict[str, Case]:
    return {
        "classify": Case(("classify", "It broke after a week")),
        "check": Case(("check", "-c", str(config), "--connect")),
        "run": Case(("run", "-c", str(config)), "everything runs"),
        "demo": Case(("demo", "--messages", "20"), "everything runs"),
    }


def measure(checkout: Path, case: Case) -> Took:
    """Raises RuntimeError with the command's output where it fails."""
    python = checkout / ".venv/bin/python"
    started = time.monotonic()
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            [python, "-m", "labelstream.deploy.cli", *case.arguments],
            cwd=checkout,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            cpu_s = _until_ready(process, case, output.fileno())
            wall_s = time.monotonic() - started
            if cpu_s is None or (case.ready is None and process.returncode):
                raise RuntimeError(f"{checkout}: {' '.join(case.arguments)}: {_read(output.fileno())}")
            return Took(wall_s, cpu_s)
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait(TIMEOUT_S)


def _until_ready(process: "subprocess.Popen[bytes]", case: Case, output: int) -> float | None:
    """The CPU seconds; None if the command ends before it is ready, or takes too long."""
    if case.ready is None:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        return usage.ru_utime + usage.ru_stime
    deadline = time.monotonic() + TIMEOUT_S
    while time.monotonic() < deadline:
        if case.ready in _read(output):
            return sum(map(_cpu_s, _tree(process.pid)))
        if process.poll() is not None:
            return None
        time.sleep(0.05)
    return None


def _read(output: int) -> str:
    return os.pread(output, 1 << 20, 0).decode(errors="replace")


def _tree(root: int) -> list[int]:
    """Process ids of `root` and all below it."""
    children: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*"):
        if fields := _stat(int(path.name)):
            children.setdefault(int(fields[1]), []).append(int(path.name))
    found = [root]
    for pid in found:
        found += children.get(pid, ())
    return found


def _stat(pid: int) -> list[str]:
    """The fields from the state on, see proc_pid_stat(5); empty if the process has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _cpu_s(pid: int) -> float:
    """With those of its children that have ended."""
    return sum(map(int, _stat(pid)[11:15])) / _TICKS


@contextmanager
def _config() -> Iterator[Path]:
    """A config of one pipeline, with a broker that runs within the block."""
    broker = InMemoryBroker()
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "labelstream.yaml"
        model = {"source": str(ROOT / "deploy/demo/model")}
        pipeline = {"input": "in", "output": "out", "dead_letter": "dead", "model": "sentiment"}
        settings = {
            "kafka": {"bootstrap_servers": broker.bootstrap},
            "models": {"sentiment": model},
            "pipelines": {"feedback": pipeline},
        }
        config.write_text(json.dumps(settings))
        yield config
    broker.close()


def table(taken: dict[tuple[str, str], list[Took]]) -> list[str]:
    """A line for each command and checkout: medians, and the fastest and slowest in brackets."""
    lines = [f"{'command':<10} {'wall s':>22} {'CPU s':>22}  checkout"]
    for (name, checkout), measured in taken.items():
        cells = [_spread([took[column] for took in measured]) for column in (0, 1)]
        lines.append(f"{name:<10} {cells[0]:>22} {cells[1]:>22}  {checkout}")
    return lines


def _spread(values: Sequence[float]) -> str:
    return f"{statistics.median(values):.1f} ({min(values):.1f} to {max(values):.1f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--beside", type=Path, help="another checkout")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", nargs="+", choices=list(cases_for(Path())), help="these commands alone")
    parser.add_argument("--json", type=Path, help="every figure, into this file")
    options = parser.parse_args()
    checkouts = [ROOT] if options.beside is None else [ROOT, options.beside.resolve()]
    taken: dict[tuple[str, str], list[Took]] = {}
    with _config() as config:
        cases = {name: case for name, case in cases_for(config).items() if name in (options.only or cases_for(config))}
        for turn in range(options.rounds):
            for name, case in cases.items():
                for checkout in checkouts:
                    took = measure(checkout, case)
                    taken.setdefault((name, str(checkout)), []).append(took)
                    said = f"{name}: {took.wall_s:.1f} s, {took.cpu_s:.1f} s of CPU, {checkout}"
                    print(f"round {turn + 1} of {options.rounds}: {said}", flush=True)
    print("\n".join(table(taken)))
    if options.json:
        options.json.write_text(json.dumps([[*key, *map(list, measured)] for key, measured in taken.items()]))


if __name__ == "__main__":
    main()
