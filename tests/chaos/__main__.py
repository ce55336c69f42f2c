"""`python -m tests.chaos` runs two pipelines under faults and prints the verdict. Exits with 1 after any finding."""

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
from tests.chaos.load import Load, answered_texts, plain_messages
from tests.chaos.records import record_messages
from tests.chaos.system import PLAIN, RECORDS, TRANSACTION_S, Stream, System, wait_until
from tests.chaos.verify import Findings, PartitionOffset, verify
from tests.chaos.watch import Watch, committed_now, read_everything

RECOVERY_S = 120.0
FAULT_S = 6.0  # average time of one fault


class Part(NamedTuple):
    """One pipeline's load and watch."""

    load: Load
    watch: Watch


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
            injected, outcomes = run(system, options.seed, options.messages, options.faults, options.only)
    report = summary(options, injected, outcomes, time.monotonic() - started)
    show(report)
    if options.json:
        options.json.write_text(json.dumps(report, indent=2) + "\n")
    return 0 if report["passed"] else 1


class Outcome(NamedTuple):
    """Of one pipeline. `messages`: number of its inputs.

    `when`: for each input with a finding, when it was produced or classified a second time.
    """

    messages: int
    findings: Findings
    when: dict[PartitionOffset, float]


def run(
    system: System, seed: int, messages: int, faults: int, only: list[str] | None = None
) -> tuple[list[Injected], dict[str, Outcome]]:
    """Inject all faults under load, process the rest of the messages without faults, then verify each pipeline.

    Half of `messages` goes to each pipeline.
    """
    bootstrap, chosen = system.broker.bootstrap, random.Random(seed)
    answers, each = answered_texts(system.model, seed), messages // 2
    makers = {PLAIN: plain_messages(answers), RECORDS: record_messages(answers)}
    parts = [
        Part(Load(bootstrap, stream, make, each, seed), Watch(bootstrap, stream)) for stream, make in makers.items()
    ]
    plan, injected = schedule(seed, faults, system.mode), []
    if only:
        plan = [chosen.choice(only) for _ in range(faults)]
    _towards(parts, 0.5 / (faults + 1), FAULT_S / 2)
    wait_until(lambda: all(part.watch.results > 0 for part in parts), 60, "the first results")
    for number, kind in enumerate(plan):
        _towards(parts, (number + 1) / (faults + 1), FAULT_S)
        time.sleep(chosen.uniform(0.2, 1.5))
        injected += inject(system, [part.watch for part in parts], kind, chosen)
    for part in parts:
        part.load.finish()
    for stream, part in zip(makers, parts, strict=True):
        wait_until(
            lambda stream=stream, part=part: committed_now(bootstrap, stream) >= part.load.sent,
            180,
            f"the last commit of {stream.pipeline}",
        )
    time.sleep(TRANSACTION_S + 2)  # open transactions of killed workers have timed out by then
    return injected, {
        stream.pipeline: _outcome(bootstrap, stream, part) for stream, part in zip(makers, parts, strict=True)
    }


def _towards(parts: list[Part], share: float, seconds: float) -> None:
    for part in parts:
        part.load.towards(share, seconds)


def _outcome(bootstrap: str, stream: Stream, part: Part) -> Outcome:
    """Read and verify all records of a pipeline, and print the findings."""
    part.watch.close()
    seen, classified = read_everything(bootstrap, stream, part.load.places)
    findings = verify(part.load.expected, seen, part.watch.samples)
    when = {place: part.load.produced_at[place] for place in findings.lost}
    when |= {place: classified[place][-1] for place in findings.duplicated}
    for name, places in findings._asdict().items():
        for place in list(places)[:10]:
            times = ", ".join(f"{at:.1f}" for at in classified[place])
            print(f"  {stream.pipeline} {name}: partition {place[0]}, offset {place[1]}, in the log at {times}")
    for place in findings.wrong[:5]:
        print(f"  {part.load.expected.get(place)}\n  {next(record for record in seen if record.source == place)}")
    topics = Counter(record.topic for record in seen)
    print(f"{stream.pipeline}: {len(part.watch.samples)} samples of the committed offsets, records {dict(topics)}")
    return Outcome(part.load.sent, findings, when)


def inject(system: System, watches: list[Watch], kind: str, chosen: random.Random) -> list[Injected]:
    """Inject one fault and wait until the pipeline has recovered."""
    at = time.time()
    try:
        since = KINDS[kind][1](system, chosen)
    except NotInjected:
        print(f"  {kind}: not injected", flush=True)
        return []
    recovered = wait_until(
        lambda: all(watch.caught_up(since) for watch in watches), RECOVERY_S, f"recovery from: {kind}"
    )
    recovery_s = time.time() - since if recovered else None
    if not recovered:
        print(f"the broker's log:\n{system.broker.log_tail(30)}", flush=True)
    wait_until(lambda: len(system.pids("worker")) >= 4 and bool(system.pids("replica")), 90, "four workers")
    print(f"  {at:.1f} {kind}: {f'{recovery_s:.1f} s' if recovery_s is not None else 'NOT RECOVERED'}", flush=True)
    return [Injected(kind, at, recovery_s)]


def summary(
    options: argparse.Namespace,
    injected: list[Injected],
    outcomes: dict[str, Outcome],
    seconds: float,
) -> dict[str, Any]:
    """The report as plain data: verdict, and statistics by kind of fault."""
    per_kind: dict[str, dict[str, Any]] = defaultdict(
        lambda: {"injected": 0, "lost": 0, "duplicated": 0, "recovery_s": []}
    )
    for fault in injected:
        per_kind[fault.kind]["injected"] += 1
        per_kind[fault.kind]["recovery_s"].append(fault.recovery_s)
    for _, findings, when in outcomes.values():
        for name, places in (("lost", Counter(findings.lost)), ("duplicated", findings.duplicated)):
            for place, count in places.items():
                before = [fault.kind for fault in injected if fault.at <= when[place]]
                per_kind[before[-1] if before else "(before any)"][name] += count
    found = {pipeline: outcome.findings.summary() for pipeline, outcome in outcomes.items()}
    allowed = {"duplicated"} if options.mode == "at_least_once" else set()
    forbidden = [count for counts in found.values() for name, count in counts.items() if name not in allowed]
    return {
        "mode": options.mode,
        "seed": options.seed,
        "messages": sum(outcome.messages for outcome in outcomes.values()),
        "faults": len(injected),
        "seconds": round(seconds),
        "commit": _commit(),
        "found": found,
        "kinds": dict(per_kind),
        "passed": not any(forbidden) and all(fault.recovery_s is not None for fault in injected),
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
    for pipeline, counts in report["found"].items():
        print(f"{pipeline}: " + ", ".join(f"{name} {count}" for name, count in counts.items()))
    print("passed" if report["passed"] else "FAILED", flush=True)


def _commit() -> str:
    found = subprocess.run(["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=False)
    return found.stdout.strip() or "unknown"


if __name__ == "__main__":
    sys.exit(main())
