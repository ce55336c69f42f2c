"""Faults. Each returns the time.time() from which the running system must recover."""

import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path

from tests.chaos.proxy import END_TXN, OFFSET_COMMIT, PRODUCE
from tests.chaos.system import (
    DELIVERY_S,
    MAX_POLL_S,
    SESSION_S,
    STREAMS,
    TRANSACTION_S,
    WORKERS,
    System,
    is_alive,
    wait_until,
)

Fault = Callable[[System, random.Random], float]
CLAIM_S = 30.0
TERM_S = 3.0


class NotInjected(Exception):
    """No process was there for the fault."""


def _kill(kind: str) -> Fault:
    def fault(system: System, chosen: random.Random) -> float:
        pid, now = _any(system, kind, chosen), time.time()
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not is_alive(pid), 10, f"the end of {kind} {pid}")
        return now

    return fault


def _terminate(kind: str) -> Fault:
    """SIGTERM, then SIGKILL some seconds later, as systemd and Kubernetes do.

    Ray's processes ignore SIGTERM, and stop answering Serve's health checks while they continue to work.
    """

    def fault(system: System, chosen: random.Random) -> float:
        pid = _any(system, kind, chosen)
        os.kill(pid, signal.SIGTERM)
        until = time.monotonic() + TERM_S
        while is_alive(pid) and time.monotonic() < until:
            time.sleep(0.05)
        now = time.time()
        if is_alive(pid):
            os.kill(pid, signal.SIGKILL)
            wait_until(lambda: not is_alive(pid), 10, f"the end of {kind} {pid}")
        return now

    return fault


def _any(system: System, kind: str, chosen: random.Random) -> int:
    # Only while another process is alive: otherwise the fault would measure a process start.
    def of_one() -> list[int]:
        return system.pids(kind) if stream is None else system.workers_of(stream)

    stream = chosen.choice(STREAMS) if kind == "worker" else None
    wait_until(lambda: len(of_one()) >= 2, 60, f"two processes ({kind})")
    pids = of_one()
    if not pids:
        raise NotInjected
    return chosen.choice(pids)


def _kill_at(point: str) -> Fault:
    def fault(system: System, chosen: random.Random) -> float:
        _give(system, point, "kill")
        return time.time()

    return fault


def _give(system: System, point: str, action: str) -> Path:
    order = system.order(point, action)
    if not wait_until(lambda: not order.exists(), CLAIM_S, f"a worker at {point}"):
        order.unlink(missing_ok=True)
        raise NotInjected
    return order


def _broker_dies_at(point: str) -> Fault:
    def fault(system: System, chosen: random.Random) -> float:
        _give(system, point, "hold 0.3")
        system.broker.kill()
        time.sleep(chosen.uniform(0, 2))
        system.broker.start()
        return time.time()

    return fault


def broker_restart(system: System, chosen: random.Random) -> float:
    system.broker.restart()
    return time.time()


def zombie(system: System, chosen: random.Random) -> float:
    """Freeze a worker for longer than session and transaction timeout, so that its partitions move; then resume it."""
    pid, now = _any(system, "worker", chosen), time.time()
    os.kill(pid, signal.SIGSTOP)
    try:
        time.sleep(max(SESSION_S, TRANSACTION_S) + chosen.uniform(1, 3))
    finally:
        os.kill(pid, signal.SIGCONT)
    return now


def loop_blocked(system: System, chosen: random.Random) -> float:
    now = time.time()
    _give(system, chosen.choice(["after_poll", "after_send"]), f"hold {MAX_POLL_S + 1}")
    return now


def scaling(system: System, chosen: random.Random) -> float:
    """Add or remove one worker, alternately."""
    system.scale(WORKERS + 1 if system.workers == WORKERS else WORKERS)
    return time.time()


def network_cut(system: System, chosen: random.Random) -> float:
    chosen.choice([system.proxy.cut, system.proxy.freeze])()
    try:
        time.sleep(chosen.uniform(1, SESSION_S + 1))
    finally:
        system.proxy.mend()
    return time.time()


def commit_delayed(system: System, chosen: random.Random) -> float:
    """Delay EndTxn, or OffsetCommit without transactions, for less or more than its timeout."""
    held, now = system.proxy.held, time.time()
    seconds = chosen.choice([TRANSACTION_S / 3, TRANSACTION_S + 2])
    system.proxy.hold(END_TXN if system.mode == "exactly_once" else OFFSET_COMMIT, seconds)
    if not wait_until(lambda: system.proxy.held > held, CLAIM_S, "a commit to delay"):
        raise NotInjected
    return now


def output_outage(system: System, chosen: random.Random) -> float:
    """Block Produce requests for longer than the delivery timeout; they arrive late."""
    system.proxy.stop(PRODUCE)
    try:
        time.sleep(DELIVERY_S + chosen.uniform(2, 5))
    finally:
        system.proxy.mend()
    return time.time()


KINDS: dict[str, tuple[int, Fault]] = {
    "worker SIGKILL": (7, _kill("worker")),
    "worker SIGTERM": (4, _terminate("worker")),
    "replica SIGKILL": (4, _kill("replica")),
    "replica SIGTERM": (2, _terminate("replica")),
    "killed after poll": (4, _kill_at("after_poll")),
    "killed mid-inference": (4, _kill_at("mid_inference")),
    "killed after send": (4, _kill_at("after_send")),
    "killed after send_offsets": (4, _kill_at("after_send_offsets")),
    "killed before commit": (4, _kill_at("before_commit")),
    "killed after commit": (4, _kill_at("after_commit")),
    "broker killed in mid-produce": (2, _broker_dies_at("after_send")),
    "broker killed in mid-commit": (2, _broker_dies_at("before_commit")),
    "broker restarted": (1, broker_restart),
    "frozen and thawed (zombie)": (4, zombie),
    "loop blocked": (2, loop_blocked),
    "worker added or removed": (4, scaling),
    "network cut or frozen": (3, network_cut),
    "commit delayed": (3, commit_delayed),
    "output outage": (1, output_outage),
}
"""Each with its weight in a run, and what does it."""


def schedule(seed: int, count: int, mode: str) -> list[str]:
    """`count` faults in a seeded order, by their weights; every kind at least once if possible."""
    kinds = {
        name: weight
        for name, (weight, _) in KINDS.items()
        if mode == "exactly_once" or name != "killed after send_offsets"
    }
    chosen = random.Random(seed)
    weighted = [name for name, weight in kinds.items() for _ in range(weight - 1)]
    chosen.shuffle(weighted)
    every = chosen.sample(list(kinds), len(kinds))
    more = [chosen.choice(weighted) for _ in range(count)]
    picked = (every + weighted + more)[:count]
    chosen.shuffle(picked)
    return picked
