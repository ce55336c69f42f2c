"""`python -m tests.hostile` runs a pipeline with a fifth of hostile messages. Exits with 1 if the verdict is bad."""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from labelstream.deploy.cluster.application import control_client
from labelstream.workers.errors import StartError
from tests.chaos.system import wait_until
from tests.hostile.bound import worker_mib
from tests.hostile.judge import judge, latencies, outcomes, share_of
from tests.hostile.load import Load
from tests.hostile.reader import Reader, left
from tests.hostile.system import REPLICAS, WORKERS, System
from tests.soak.memory import Memory

SHARE = 0.2
FIRST_S, DRAIN_S, SETTLE_S, TELL_S = 120.0, 180.0, 3.0, 15.0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.hostile", description=__doc__)
    parser.add_argument("--seconds", type=float, default=600.0, help="of the hostile stream (default: %(default)s)")
    parser.add_argument(
        "--calm", type=float, default=60.0, help="seconds without hostile ones before (default: %(default)s)"
    )
    parser.add_argument("--per-s", type=float, default=60.0, help="messages a second (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="an empty folder for the workers' logs and the broker's data")
    parser.add_argument("--json", type=Path, help="write the figures here as well")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="labelstream-hostile-") as temporary:
        folder = Path(temporary) if options.keep is None else options.keep.resolve()
        folder.mkdir(exist_ok=True)
        system = System(folder)
        with system.running():  # reported before the shutdown, which takes as long as a hanging worker
            report = run(system, options)
            tell(report, options.json)
    return 0 if report["passed"] else 1


def tell(report: dict[str, Any], path: Path | None) -> None:
    for name, value in report.items():
        print(f"{name}: {value}")
    print("passed" if report["passed"] else "FAILED", flush=True)
    if path:
        path.write_text(json.dumps(report, indent=2) + "\n")


def run(system: System, options: argparse.Namespace) -> dict[str, Any]:
    """The figures and the verdict as plain data."""
    bootstrap = system.broker.bootstrap
    load, reader = Load(bootstrap, system.folder, options.per_s, options.seed), Reader(bootstrap)
    memory = Memory(system.workers, lambda: len(reader.seen))
    reader.start()
    memory.start()
    load.start()
    wait_until(lambda: bool(reader.seen), FIRST_S, "the first answer")
    calm = time.time()
    phase("calm", options.calm, load, reader, memory)
    hostile, load.hostile = time.time(), SHARE
    phase("hostile", options.seconds, load, reader, memory)
    ended = time.time()
    load.close()
    finished = drain(bootstrap, reader)
    drained_s = time.time() - ended
    time.sleep(SETTLE_S)
    in_place = restarts_in_place()
    reader.close()
    memory.close()
    findings = judge(load.expected, reader.seen)
    highest, bound = max(map(memory.highest_mib, memory.samples), default=0.0), worker_mib(system.settings)

    def spread(since: float, until: float) -> dict[str, Any]:
        found = latencies(load.expected, reader.seen, reader.read_at, load.produced_at, since, until)
        return {"messages": len(found), "p50_s": share_of(found, 0.5), "p99_s": share_of(found, 0.99)}

    kinds = [expected.kind for expected in load.expected.values()]
    return {
        "seed": options.seed,
        "messages": len(kinds),
        "hostile": len(kinds) - kinds.count("good"),
        "outcomes": outcomes(load.expected, reader.seen),
        **{name: dict(found) if isinstance(found, dict) else found for name, found in findings._asdict().items()},
        "finished": finished,
        "drained_s": round(drained_s, 1),
        "latency_calm": spread(calm, hostile),
        "latency_hostile": spread(hostile, ended),
        "worker_mib_highest": round(highest),
        "worker_mib_bound": round(bound),
        "restarts": {
            "workers": len(system.started("worker")) - WORKERS,
            "in place": in_place,
            "replicas": len(system.started("replica")) - REPLICAS - 1,
        },
        "passed": findings.nothing() and finished and highest <= bound,
    }


def phase(name: str, seconds: float, load: Load, reader: Reader, memory: Memory) -> None:
    """Wait for `seconds` and print the progress regularly."""
    until = time.monotonic() + seconds
    while (rest := until - time.monotonic()) > 0:
        time.sleep(min(TELL_S, rest))
        newest = {who: round(samples[-1].rss_mib) for who, samples in list(memory.samples.items())}
        print(f"  {name}: {len(load.expected)} sent, {len(reader.seen)} answered; MiB {newest}", flush=True)


def drain(bootstrap: str, reader: Reader) -> bool:
    """Wait until all inputs are committed, while results arrive: isolating records that kill replicas takes minutes."""
    seen = -1
    while seen != (seen := len(reader.seen)):
        if wait_until(lambda: left(bootstrap) == 0, DRAIN_S, "the last commit"):
            return True
    return False


def restarts_in_place() -> int | None:
    """Restarts of the pipeline inside its worker processes; None if unknown."""
    try:
        found = control_client.status()["pipelines"].get("p", {})
    except StartError:
        return None
    return sum(worker.get("restarts", 0) for worker in found.values())


if __name__ == "__main__":
    sys.exit(main())
