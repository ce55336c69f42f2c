"""`python -m tests.chaos` runs a pipeline under faults and prints the verdict. Exits with 1 after any finding."""

import argparse
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table

from tests.chaos.faults import KINDS, NotInjected, schedule
from tests.chaos.load import Load
from tests.chaos.system import TRANSACTION_S, System, wait_until
from tests.chaos.verify import Findings, PartitionOffset, verify
from tests.chaos.watch import Watch, committed_now, read_everything

RECOVERY_S = 120.0
FAULT_S = 6.0  # average time of one fault


class Injected(NamedTuple):
    """One injected fault; `recovery_s` is None if the pipeline did not recover in time."""

    kind: str
    at: float
    recovery_s: float | None


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--messages", type=int, default=50_000)
    parser.add_argument("--faults", type=int, default=62)
    parser.add_argument("--mode", choices=["exactly_once", "at_least_once"], default="exactly_once")
    parser.add_argument("--only", choices=sorted(KINDS), action="append", help="faults of this kind alone; repeatable")
    parser.add_argument("--keep", type=Path, help="an empty folder for the workers' logs and the broker's data")
    parser.add_argument("--json", type=Path, help="write the figures here as well")
    options = parser.parse_args()
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="labelstream-chaos-") as temporary:
        folder = Path(temporary) if options.keep is None else options.keep.resolve()
        folder.mkdir(exist_ok=True)
        system = System(folder, options.mode)
        with system.running():
            print(f"all processes run after {time.monotonic() - started:.0f} s", flush=True)
            injected, findings, when = run(system, options.seed, options.messages, options.faults, options.only)
    report = summary(options, injected, findings, when, time.monotonic() - started)
    show(report)
    if options.json:
        options.json.write_text(json.dumps(report, indent=2) + "\n")
    return 0 if report["passed"] else 1


def run(
    system: System, seed: int, messages: int, faults: int, only: list[str] | None = None
) -> tuple[list[Injected], Findings, dict[PartitionOffset, float]]:
    """Inject all faults under load, process the rest of the messages without faults, then verify.

    Also returns, for each input with a finding, when it was produced or classified a second time.
    """
    bootstrap, chosen = system.broker.bootstrap, random.Random(seed)
    load, watch = Load(bootstrap, system.model, messages, seed), Watch(bootstrap)
    plan, injected = schedule(seed, faults, system.mode), []
    if only:
        plan = [chosen.choice(only) for _ in range(faults)]
    load.towards(0.5 / (faults + 1), FAULT_S / 2)
    wait_until(lambda: watch.results > 0, 60, "the first result")
    for number, kind in enumerate(plan):
        load.towards((number + 1) / (faults + 1), FAULT_S)
        time.sleep(chosen.uniform(0.2, 1.5))
        injected += inject(system, watch, kind, chosen)
    load.finish()
    wait_until(lambda: committed_now(bootstrap) >= messages, 180, "the last commit")
    time.sleep(TRANSACTION_S + 2)  # open transactions of killed workers have timed out by then
    watch.close()
    seen, classified = read_everything(bootstrap)
    findings = verify(load.expected, seen, watch.samples)
    when = {place: load.produced_at[place] for place in findings.lost}
    when |= {place: classified[place][-1] for place in findings.duplicated}
    for name, places in findings._asdict().items():
        for place in list(places)[:10]:
            times = ", ".join(f"{at:.1f}" for at in classified[place])
            print(f"  {name}: partition {place[0]}, offset {place[1]}, in the log at {times}", flush=True)
    print(f"{len(watch.samples)} samples of the committed offsets, {len(seen)} committed records", flush=True)
    return injected, findings, when


def inject(system: System, watch: Watch, kind: str, chosen: random.Random) -> list[Injected]:
    """Inject one fault and wait until the pipeline has recovered."""
    at = time.time()
    try:
        since = KINDS[kind][1](system, chosen)
    except NotInjected:
        print(f"  {kind}: not injected", flush=True)
        return []
    recovered = wait_until(lambda: watch.caught_up(since), RECOVERY_S, f"recovery from: {kind}")
    recovery_s = time.time() - since if recovered else None
    if not recovered:
        print(f"the broker's log:\n{system.broker.log_tail(30)}", flush=True)
    wait_until(lambda: len(system.pids("worker")) >= 2 and bool(system.pids("replica")), 90, "two workers")
    print(f"  {at:.1f} {kind}: {f'{recovery_s:.1f} s' if recovery_s is not None else 'NOT RECOVERED'}", flush=True)
    return [Injected(kind, at, recovery_s)]


def summary(
    options: argparse.Namespace,
    injected: list[Injected],
    findings: Findings,
    when: dict[PartitionOffset, float],
    seconds: float,
) -> dict[str, Any]:
    """The report as plain data: verdict, and statistics by kind of fault."""
    per_kind: dict[str, dict[str, Any]] = defaultdict(
        lambda: {"injected": 0, "lost": 0, "duplicated": 0, "recovery_s": []}
    )
    for fault in injected:
        per_kind[fault.kind]["injected"] += 1
        per_kind[fault.kind]["recovery_s"].append(fault.recovery_s)
    for name, places in (("lost", Counter(findings.lost)), ("duplicated", findings.duplicated)):
        for place, count in places.items():
            before = [fault.kind for fault in injected if fault.at <= when[place]]
            per_kind[before[-1] if before else "(before any)"][name] += count
    found = findings.summary()
    forbidden = dict(found) if options.mode == "exactly_once" else {**found, "duplicated": 0}
    return {
        "mode": options.mode,
        "seed": options.seed,
        "messages": options.messages,
        "faults": len(injected),
        "seconds": round(seconds),
        "commit": _commit(),
        "found": found,
        "kinds": dict(per_kind),
        "passed": not any(forbidden.values()) and all(fault.recovery_s is not None for fault in injected),
    }


def show(report: dict[str, Any]) -> None:
    table = Table(
        "fault",
        "injected",
        "lost",
        "duplicated",
        "recovery s: median",
        "longest",
        title=f"{report['mode']}, seed {report['seed']}, commit {report['commit']}: {report['messages']} "
        f"messages, {report['faults']} faults in {report['seconds']} s",
    )
    for kind, row in sorted(report["kinds"].items()):
        times = [s for s in row["recovery_s"] if s is not None]
        table.add_row(
            kind,
            str(row["injected"]),
            str(row["lost"]),
            str(row["duplicated"]),
            f"{statistics.median(times):.1f}" if times else "-",
            f"{max(times):.1f}" if times else "-",
        )
    Console(width=120).print(table)
    print(", ".join(f"{name} {count}" for name, count in report["found"].items()))
    print("passed" if report["passed"] else "FAILED", flush=True)


def _commit() -> str:
    found = subprocess.run(["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=False)
    return found.stdout.strip() or "unknown"


if __name__ == "__main__":
    sys.exit(main())
