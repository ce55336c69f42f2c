"""`python -m tests.fuzz`: runs all targets for a given time, two at a time. Exits with 1 after a finding."""

import argparse
import random
import re
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from tests.fuzz.targets import BYTES, DRAWN

AT_ONCE = 2
START_S, END_S = 1.5, 120.0  # time of a child's imports; time that a child may take beyond its end


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=float, default=600.0, help="for all of it (default: %(default)s)")
    parser.add_argument("--seed", type=int, help="of a run before, which it prints (default: a new one)")
    parser.add_argument("--target", choices=[*BYTES, *DRAWN], action="append", help="this one alone; repeatable")
    parser.add_argument("--replay", type=Path, help="give the target these bytes")
    options = parser.parse_args()
    names = options.target or [*BYTES, *DRAWN]
    if options.replay:
        return replay(names[0], options.replay)
    seed = random.randrange(1, 1 << 31) if options.seed is None else options.seed
    each = max(2.0, options.seconds * min(AT_ONCE, len(names)) / len(names) - START_S)
    print(f"seed {seed}: {len(names)} targets, {each:.0f} s each, {AT_ONCE} at a time", flush=True)
    folder = Path(tempfile.mkdtemp(prefix="labelstream-fuzz-"))
    with ThreadPoolExecutor(AT_ONCE) as pool:
        failed = [
            name
            for name, good in zip(names, pool.map(partial(run, each, seed, folder), names), strict=True)
            if not good
        ]
    print(f"FAILED: {', '.join(failed)}; seed {seed}, inputs in {folder}" if failed else "nothing found", flush=True)
    return 1 if failed else 0


def run(seconds: float, seed: int, folder: Path, name: str) -> bool:
    """Print the findings. Returns whether there are none."""
    started = time.monotonic()
    command = [sys.executable, "-m", "tests.fuzz.child", name, str(seconds), str(seed), str(folder)]
    try:
        done = subprocess.run(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=seconds + END_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        print(f"  {name}: does not end\n{error.output}", flush=True)
        return False
    count = re.search(r"number_of_executed_units: (.*)", done.stdout)
    told = f"{count[1].strip() if count else '?'} inputs in {time.monotonic() - started:.0f} s"
    if done.returncode == 0:
        print(f"  {name}: {told}", flush=True)
        return True
    told = "\n".join(line for line in done.stdout.splitlines() if not line.startswith(("INFO:", "WARNING:")))
    print(f"  {name}: FOUND\n{told[-6_000:]}", flush=True)
    for path in sorted(folder.glob(f"{name}-*")):
        print(
            f"  {name}: {path.read_bytes()[:400]!r}\n  again: python -m tests.fuzz --target {name} --replay {path}",
            flush=True,
        )
    print(f"  again: python -m tests.fuzz --target {name} --seconds {seconds:.0f} --seed {seed}", flush=True)
    return False


def replay(name: str, path: Path) -> int:
    """Run one saved input. Raises what the target raises."""
    if name not in BYTES:
        sys.exit(f"{name} takes no bytes: give it the seed of the run that found something")
    BYTES[name].check(path.read_bytes())
    print("nothing found")
    return 0


if __name__ == "__main__":
    sys.exit(main())
