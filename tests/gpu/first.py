"""`python tests/gpu/first.py --out DIR`: tests and measures the GPU path on this machine's GPU, in at most 480 seconds.

The most telling steps run first. A step prints a short table at once and adds to DIR/first.json; its failure does not
stop the others. After a step that hangs or breaks the device's context, the script restarts for the remaining steps.

The script needs torch, transformers, numpy, pytest with pytest-xdist and, for two comparisons, triton; it needs nothing
else of the project's dependencies. Without a GPU everything runs small on the CPU, to try the script; the kernels run
there with TRITON_INTERPRET=1 and numpy below 2.4.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
STARTED = float(os.environ.setdefault("FIRST_STARTED", str(time.time())))  # kept by a restarted script
LIMIT_S, STEP_LIMIT_S = 480.0, 120.0
sys.path[0] = str(ROOT)  # instead of this folder, whose modules would hide packages of their names
sys.dont_write_bytecode = True
NAMES = (
    "machine",
    "right",
    "start",
    "host",
    "whole_process",
    "attention",
    "forwards",
    "launching",
    "profile",
    "cudnn",
    "failed_capture",
    "ceilings",
    "tests",
)


def tests(work: Path) -> dict[str, Any]:
    """The project's tests of the GPU path, eight at a time, in the time that is left."""
    left = max(30.0, LIMIT_S - (time.time() - STARTED) - 10)
    folder = ROOT / "tests/gpu"
    command = [
        sys.executable,
        "-B",
        "-m",
        "pytest",
        "-c",
        str(folder / "pytest.ini"),
        str(folder),
        "-q",
        "--tb=short",
        "-p",
        "no:cacheprovider",
        "-n",
        "8",
        f"--basetemp={work / 'tests'}",
    ]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=left, cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "2"}
    )
    print(done.stdout[-4_000:], flush=True)
    return {"rc": done.returncode, "last": done.stdout.strip().splitlines()[-1:], "out": done.stdout[-8_000:]}


def steps(work: Path) -> dict[str, Any]:
    """The steps of `NAMES`. `work`: a folder for temporary files."""
    from tests.gpu.uninstalled import make_importable

    make_importable(ROOT)
    from tests.gpu import ceilings, product
    from tests.gpu import steps as of_product

    product.WORK = work
    own = {"tests": lambda: tests(work)}
    return {name: own.get(name) or getattr(of_product, name, None) or getattr(ceilings, name) for name in NAMES}


class Run:
    """Runs the steps `names` in this process, and writes each result to disk when the step ends."""

    def __init__(self, out: Path, work: Path, names: list[str]) -> None:
        self._out, self._work, self._names = out, work, names
        self._results = read(out)

    def all(self) -> None:
        """Every step, as long as there is time. Ends the process after a step that hangs or breaks the device."""
        every = steps(self._work)
        for name in self._names:
            if time.time() - STARTED > LIMIT_S - 30:
                print(f"== {name}: no time left", flush=True)
                self._keep(name, error="no time left")
            else:
                self._step(name, every[name])

    def _step(self, name: str, run: Any) -> None:
        print(f"== {name} (at {time.time() - STARTED:.0f} s)", flush=True)
        started = time.perf_counter()
        self._keep(name, error="the process ended")  # overwritten when the step ends

        def hangs() -> None:
            self._keep(name, error="took too long", seconds=STEP_LIMIT_S)
            os._exit(3)

        watchdog = threading.Timer(STEP_LIMIT_S, hangs)
        watchdog.daemon = True
        if name != "tests":  # they have a limit of their own
            watchdog.start()
        try:
            self._keep(name, found=run(), seconds=round(time.perf_counter() - started, 1))
        except BaseException as error:
            self._keep(name, error=f"{type(error).__name__}: {error}"[:400])
            traceback.print_exc(limit=4, file=sys.stdout)
        watchdog.cancel()
        if not _works():
            os._exit(3)

    def _keep(self, name: str, **what: Any) -> None:
        self._results[name] = what
        (self._out / "first.json").write_text(json.dumps(self._results, indent=1, default=str) + "\n")


def read(out: Path) -> dict[str, Any]:
    """The results of the steps so far."""
    file = out / "first.json"
    return json.loads(file.read_text()) if file.exists() else {}


def supervise(out: Path, work: Path, names: list[str]) -> None:
    """Run the steps in a child process. If that process ends early, run the remaining steps in another one."""
    while left := [name for name in names if name not in read(out)]:
        command = [
            sys.executable,
            str(Path(__file__).resolve()),
            "--work",
            str(work),
            "--only",
            ",".join(left),
            "--out",
            str(out),
        ]
        before = len(left)
        subprocess.run(command, check=False)
        if len([name for name in names if name not in read(out)]) == before:
            sys.exit("the steps cannot be started; see above")
    found = read(out)
    print({name: result.get("error", result.get("seconds")) for name, result in found.items()}, flush=True)
    failed = [name for name, result in found.items() if "error" in result or result["found"].get("rc", 0)]
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


def _works() -> bool:
    """Whether the device's context still works."""
    import torch

    try:
        if torch.cuda.is_available():
            torch.cuda.synchronize()
            torch.cuda.empty_cache()
        return True
    except Exception as error:
        print(f"== the device's context is broken: {error}", flush=True)
        return False


def main() -> None:
    """Run the steps that the command line names, by default all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="the folder for first.json; no other is written to")
    parser.add_argument("--only", default="", help="steps, with commas between them")
    parser.add_argument("--skip", default="", help="steps to leave out")
    parser.add_argument("--work", type=Path, help=argparse.SUPPRESS)  # of the script to itself: run the steps here
    chosen = parser.parse_args()
    out = chosen.out.resolve()
    only, skip = (list(filter(None, names.split(","))) for names in (chosen.only, chosen.skip))
    if unknown := set(only + skip) - set(NAMES):
        parser.error(f"no such step: {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}")
    names = [name for name in NAMES if (not only or name in only) and name not in skip]
    if chosen.work is not None:
        os.environ["TRITON_CACHE_DIR"] = str(chosen.work / "triton")
        Run(out, chosen.work, names).all()
        return
    out.mkdir(parents=True, exist_ok=True)
    (out / "first.json").unlink(missing_ok=True)
    with tempfile.TemporaryDirectory(dir=out) as work:
        supervise(out, Path(work), names)


if __name__ == "__main__":
    main()
