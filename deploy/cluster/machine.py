"""Checks whether this machine can run Labelstream: versions, memory, limits, folders and ports. Imports
nothing heavy.
"""

import importlib.metadata
import logging
import os
import platform
import resource
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from labelstream.deploy.cluster.run_folder import MIN_FREE_BYTES, no_place, no_room, noted_runs, places, unfit
from labelstream.workers.errors import StartError
from labelstream.workers.stream.broker.finding import Finding

logger = logging.getLogger(__name__)
MIB = 1 << 20
PACKAGES = ("labelstream", "ray", "torch", "transformers", "kafka-python", "openvino")
OBJECT_STORE_BYTES = 200_000_000  # of a local Ray, which carries only the models' descriptions
# Measured: the demo's processes take 1.7 GiB together.
MIN_MEMORY_BYTES = 2_048 * MIB
MIN_PROCESSES = 1_024
MIN_FILES = 1_024
FEWEST_FILES = 128  # the demo was seen to run with this many
PROXIES = ("http_proxy", "https_proxy", "all_proxy", "grpc_proxy")
SHARED, CGROUP, MEMORY, GPUS = (
    Path(place)
    for place in ("/dev/shm", "/sys/fs/cgroup", "/proc/meminfo", "/proc/driver/nvidia/gpus")  # noqa: S108
)


def machine_findings(settings: Any = None) -> list[Finding]:
    """Findings about this machine for a local run, in the order of `labelstream doctor`. CRITICAL: the run cannot
    start.

    `settings`: whose models have to be cached or fetched; None: models are not checked.
    """
    checks: tuple[Callable[[], Finding], ...] = (
        _python,
        _memory,
        _shared_memory,
        _files,
        _processes,
        _folder,
        _loopback,
        _output,
        _proxies,
        _rays,
        _gpus,
    )
    packages = [Finding(name, _version(name), logging.INFO) for name in PACKAGES]
    return [*packages, *(check() for check in checks), _model_cache(settings)]


def require_machine() -> None:
    """Raises StartError with all causes if this machine cannot run Labelstream; logs the warnings."""
    findings = machine_findings()
    for finding in findings:
        if finding.level == logging.WARNING:
            logger.warning("%s", finding)
    if errors := [str(finding) for finding in findings if finding.is_problem]:
        raise StartError("; ".join(errors))


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def _python() -> Finding:
    return Finding("python", f"{platform.python_version()}, {sys.executable}", logging.INFO)


def _memory() -> Finding:
    free = _free_memory()
    if free is None:
        return Finding("memory", "unknown: no /proc/meminfo", logging.INFO)
    if free < MIN_MEMORY_BYTES:
        text = f"{_size(free)} free; Ray with a small model takes {_size(MIN_MEMORY_BYTES)}; end other processes"
        return Finding("memory", f"{text}, or raise the container's limit", logging.WARNING)
    return Finding("memory", f"{_size(free)} free", logging.INFO)


def _free_memory() -> int | None:
    """Free bytes of the machine or of the container's limit, whichever is less."""
    known = []
    for line in _lines(MEMORY):
        if line.startswith("MemAvailable:"):
            known.append(int(line.split()[1]) << 10)
    limit, used = ("".join(_lines(CGROUP / name)) for name in ("memory.max", "memory.current"))
    if limit.isdigit() and used.isdigit():
        known.append(max(0, int(limit) - int(used)))
    return min(known, default=None)


def _shared_memory() -> Finding:
    free = _free(SHARED)
    if free >= OBJECT_STORE_BYTES:
        return Finding("shared memory", f"{_size(free)} free in {SHARED}", logging.INFO)
    text = f"{_size(free)} free in {SHARED}; Ray wants {_size(OBJECT_STORE_BYTES)}"
    fix = "free some, or start the container with --shm-size=512m"
    needed = MIN_FREE_BYTES + OBJECT_STORE_BYTES
    if any(unfit(place, needed) is None for place in places()):
        return Finding("shared memory", f"{text} and takes slower files on disk instead; {fix}", logging.WARNING)
    return Finding("shared memory", f"{text}, here or in the folder of its files; {fix}")


def _files() -> Finding:
    """Open files of one process. Ray raises the soft limit."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if hard == resource.RLIM_INFINITY or hard >= MIN_FILES:
        return Finding("open files", f"at most {_limit(hard)}", logging.INFO)
    fix = f"raise the hard limit to {MIN_FILES:,} or more (ulimit -Hn, LimitNOFILE=, docker run --ulimit nofile=)"
    if hard < FEWEST_FILES:
        return Finding("open files", f"at most {hard}, too few for Ray and Kafka; {fix}")
    return Finding("open files", f"at most {hard}, enough for a few replicas; {fix}", logging.WARNING)


def _processes() -> Finding:
    soft = resource.getrlimit(resource.RLIMIT_NPROC)[0]
    if soft != resource.RLIM_INFINITY and soft < MIN_PROCESSES and os.geteuid() != 0:
        text = f"at most {soft}, and Ray's threads count; raise the limit to {MIN_PROCESSES} or more (ulimit -u)"
        return Finding("processes", text, logging.WARNING)
    return Finding("processes", f"at most {_limit(soft)}", logging.INFO)


def _folder() -> Finding:
    refused = {place: unfit(place) for place in places()}
    for place, reason in refused.items():
        if reason is None:
            return Finding("folder", f"{place}, {_size(_free(place))} free", logging.INFO)
    return Finding("folder", no_place(refused))


def _loopback() -> Finding:
    """Whether loopback takes listeners. The kernel chooses Ray's ports."""
    try:
        with socket.create_server(("127.0.0.1", 0)):
            pass
    except OSError as error:
        return Finding("ports", f"127.0.0.1 takes no listener ({error.strerror}); bring the loopback interface up")
    return Finding("ports", "chosen by the kernel, on 127.0.0.1", logging.INFO)


def _output() -> Finding:
    encoding = getattr(sys.stdout, "encoding", None) or "unknown"
    if "utf" in encoding.lower():
        return Finding("output", encoding, logging.INFO)
    return Finding(
        "output",
        f"{encoding}: other characters are shown as escapes; set LC_ALL=C.UTF-8 to see them, or PYTHONUTF8=1",
        logging.WARNING,
    )


def _proxies() -> Finding:
    named = [name for lower in PROXIES for name in (lower, lower.upper()) if os.environ.get(name)]
    if not named:
        return Finding("proxies", "none", logging.INFO)
    return Finding("proxies", f"{', '.join(named)}: used for downloads from the hub only", logging.INFO)


def _rays() -> Finding:
    found = [f"{', '.join(run.note.pipelines)} at {run.address}" for run in noted_runs()]
    text = f"yours on this machine: {'; '.join(found)}" if found else "no run of yours on this machine"
    if "RAY_ADDRESS" in os.environ:
        text += "; RAY_ADDRESS is set and used for --address auto only"
    return Finding("runs", text, logging.INFO)


def gpus() -> int:
    """Number of GPUs that NVIDIA's driver reports."""
    return len(list(GPUS.iterdir())) if GPUS.is_dir() else 0


def _gpus() -> Finding:
    return Finding("GPUs", f"{gpus() or 'none'} reported by NVIDIA's driver", logging.INFO)


def _model_cache(settings: Any) -> Finding:
    """CRITICAL if a run must fetch a model and cannot store it."""
    from huggingface_hub.constants import HF_HUB_CACHE

    from labelstream.workers.model_source import is_path

    folder = Path(HF_HUB_CACHE)
    reason = no_room(_nearest(folder))
    if reason is None:
        return Finding("model cache", f"{folder}, {_size(_free(_nearest(folder)))} free", logging.INFO)
    sources = [] if settings is None else [model.source for model in settings.models.values()]
    hub = [source for source in sources if not is_path(source)]
    missing = [source for source in hub if not (folder / f"models--{source.replace('/', '--')}").is_dir()]
    text = f"{folder} is not writable ({reason}); set HF_HOME to a writable folder"
    if missing:
        return Finding("model cache", f"{text}, or name directories; not cached: {', '.join(missing)}")
    return Finding("model cache", f"{text} if models have to be fetched", logging.WARNING)


def _nearest(folder: Path) -> Path:
    """The nearest existing parent, in which `folder` would be made."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return folder


def _free(folder: Path) -> int:
    try:
        found = os.statvfs(folder)
    except OSError:
        return 0
    return found.f_bavail * found.f_frsize


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="ascii").splitlines()
    except (OSError, UnicodeDecodeError):
        return []


def _limit(value: int) -> str:
    return "any number" if value == resource.RLIM_INFINITY else f"{value:,}"


def _size(size: int) -> str:
    return f"{size / (1 << 30):.1f} GiB" if size >= 1 << 30 else f"{size // MIB} MiB"
