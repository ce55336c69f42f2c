"""`python tests/gpu/first.py --out DIR`: what the GPU path does on this machine's GPU, in 480 seconds at most.

The steps run in the order of what they tell. Each step may fail by itself, prints a short table at once, and adds to
DIR/first.json. After a step that hangs, or that breaks the device's context, the script starts anew for the others.

The script needs torch, transformers, numpy, pytest with pytest-xdist and, for two comparisons, triton; it needs nothing
else of the project's dependencies. Without a GPU everything runs small on the CPU, to try the script; the kernels run
there with TRITON_INTERPRET=1 and numpy below 2.4.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
STARTED = float(os.environ.setdefault("FIRST_STARTED", str(time.time())))  # survives a new start of the script
LIMIT_S, STEP_LIMIT_S = 480.0, 120.0
sys.path[0] = str(ROOT)  # instead of this folder, whose modules would hide packages of their names
sys.dont_write_bytecode = True


def tests(out: Path) -> dict[str, Any]:
    """The project's tests of the GPU path, four at a time, in the time that is left."""
    left = max(30.0, LIMIT_S - (time.time() - STARTED) - 10)
    folder = ROOT / "tests/gpu"
    command = [sys.executable, "-B", "-m", "pytest", "-c", str(folder / "pytest.ini"), str(folder), "-q", "--tb=short",
               "-p", "no:cacheprovider", "-n", "4", f"--basetemp={out / 'tests'}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=left, cwd=ROOT,
                          env={**os.environ, "OMP_NUM_THREADS": "4"})
    print(done.stdout[-4_000:], flush=True)
    return {"rc": done.returncode, "last": done.stdout.strip().splitlines()[-1:], "out": done.stdout[-8_000:]}


def steps(out: Path) -> dict[str, Any]:
    """By name, in the order in which they run."""
    from tests.gpu import ceilings, product
    from tests.gpu import steps as of_product

    product.OUT = out
    return {
        "machine": of_product.machine, "right": of_product.right, "host": of_product.host,
        "whole_process": of_product.whole_process, "start": of_product.start, "attention": ceilings.attention,
        "forwards": ceilings.forwards, "launching": of_product.launching, "profile": of_product.profile,
        "cudnn": of_product.cudnn, "failed_capture": of_product.failed_capture, "ceilings": ceilings.ceilings,
        "tests": lambda: tests(out),
    }  # fmt: skip


class Script:
    """One run of the steps `names`."""

    def __init__(self, out: Path, names: list[str]) -> None:
        self._out, self._file, self._names = out, out / "first.json", names
        self._results: dict[str, Any] = {}
        if "FIRST_AGAIN" in os.environ and self._file.exists():
            self._results = json.loads(self._file.read_text())

    def run(self) -> None:
        """All of them."""
        every = steps(self._out)
        for i, name in enumerate(self._names):
            if time.time() - STARTED > LIMIT_S - 30:
                print(f"== {name}: no time left", flush=True)
                continue
            self._step(name, every[name], self._names[i + 1 :])
        print({name: result["seconds"] for name, result in self._results.items()}, flush=True)

    def _step(self, name: str, run: Any, left: list[str]) -> None:
        print(f"== {name} (at {time.time() - STARTED:.0f} s)", flush=True)
        started = time.perf_counter()

        def hangs() -> None:
            self._keep(name, started, error="took too long")
            self._again(left)

        watchdog = threading.Timer(STEP_LIMIT_S, hangs)
        watchdog.daemon = True
        if name != "tests":  # they have a limit of their own
            watchdog.start()
        try:
            self._keep(name, started, found=run())
        except BaseException as error:
            self._keep(name, started, error=f"{type(error).__name__}: {error}"[:400])
            traceback.print_exc(limit=4, file=sys.stdout)
        watchdog.cancel()
        if not _works():
            self._again(left)

    def _keep(self, name: str, started: float, **what: Any) -> None:
        self._results[name] = {**what, "seconds": round(time.perf_counter() - started, 1)}
        self._file.write_text(json.dumps(self._results, indent=1, default=str) + "\n")

    def _again(self, left: list[str]) -> None:
        print("== a new process for what is left", flush=True)
        if left:
            os.environ["FIRST_AGAIN"] = "1"
            command = [sys.executable, str(Path(__file__).resolve()), "--only", ",".join(left), "--out", str(self._out)]
            os.execv(sys.executable, command)
        os._exit(3)


def _works() -> bool:
    """Whether the device's context does."""
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
    """Run the steps that the command line names, all without it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="the folder for first.json; no other is written to")
    parser.add_argument("--only", default="", help="steps, with commas between them")
    parser.add_argument("--skip", default="", help="steps to leave out")
    chosen = parser.parse_args()
    out = chosen.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    os.environ["TRITON_CACHE_DIR"] = str(out / "triton")
    only, skip = (set(filter(None, names.split(","))) for names in (chosen.only, chosen.skip))
    names = [name for name in steps(out) if (not only or name in only) and name not in skip]
    try:
        Script(out, names).run()
    finally:
        for made in ("model", "triton", "tests"):
            shutil.rmtree(out / made, ignore_errors=True)


if __name__ == "__main__":
    main()
