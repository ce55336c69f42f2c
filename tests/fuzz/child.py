"""One target in a process of its own: `python -m tests.fuzz.child NAME SECONDS SEED FOLDER`. Exits with 1 on a finding.

The folder gets atheris' findings. A child process, because atheris ends its process, and memory is a process's peak.
"""

import sys
import time
from pathlib import Path
from typing import Any

import hypothesis
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st

LED_BY = [
    "labelstream.workers.stream.codec.decode",
    "labelstream.workers.stream.codec.fields.conditions",
    "labelstream.workers.stream.codec.encoding.enrich",
    "labelstream.workers.stream.codec.fields.lookup",
    "labelstream.workers.stream.codec.fields.metadata",
    "labelstream.workers.stream.codec.fields.reader",
    "labelstream.workers.stream.codec.fields.sparse_value",
    "labelstream.workers.stream.codec.fields.text_field",
    "labelstream.workers.stream.codec.decode_json",
    "labelstream.workers.stream.codec.json_spans",
    "labelstream.workers.stream.codec.json_values",
    "labelstream.workers.stream.record_batch.reader",
    "labelstream.workers.stream.record_batch.legacy_messages",
    "labelstream.workers.stream.record_batch.decompression",
    "labelstream.workers.stream.consumer.fetching",
    "labelstream.workers.stream.record_batch.record",
]
MAX_BYTES = 4_096
# libFuzzer's own bounds, in addition to `bounds`: seconds, and MiB of the process.
HANG_S, MAX_MIB = 20, 1_024
EXAMPLES = 100
HOW = settings(
    max_examples=EXAMPLES,
    database=None,
    deadline=None,
    suppress_health_check=tuple(HealthCheck.__members__.values()),
    phases=[Phase.generate, Phase.shrink],
)


def main(name: str, seconds: float, seed: int, folder: Path) -> int:
    try:
        import atheris  # type: ignore[import-not-found,unused-ignore]
    except ImportError:
        atheris = None
    if atheris is None:
        from tests.fuzz.targets import BYTES, DRAWN, Drawn
    else:
        with atheris.instrument_imports(include=LED_BY):  # pyright: ignore[reportAttributeAccessIssue]
            from tests.fuzz.targets import BYTES, DRAWN, Drawn
    if name in DRAWN:
        return drawn(DRAWN[name], seconds, seed)
    target = BYTES[name]
    if atheris is None:
        anything = st.binary(max_size=MAX_BYTES) | st.sampled_from(target.seeds)
        return drawn(Drawn(target.cheaply, (anything,)), seconds, seed)
    seeds = folder / f"seeds-{name}"
    seeds.mkdir(parents=True, exist_ok=True)
    for number, data in enumerate(target.seeds):
        target.cheaply(data)
        (seeds / str(number)).write_bytes(data)
    atheris.Setup(
        [
            name,
            f"-max_total_time={max(1, int(seconds))}",
            f"-seed={seed}",
            f"-timeout={HANG_S}",
            f"-rss_limit_mb={MAX_MIB}",
            f"-max_len={MAX_BYTES}",
            f"-artifact_prefix={folder}/{name}-",
            "-print_final_stats=1",
            "-verbosity=0",
            str(seeds),
        ],
        target.cheaply,
    )
    atheris.Fuzz()
    return 0


def drawn(target: Any, seconds: float, seed: int) -> int:
    """Run hypothesis for a given time, some hundred examples at a time, each time with the next seed."""
    deadline, turn = time.monotonic() + seconds, 0
    while time.monotonic() < deadline:
        given = hypothesis.given(*target.strategies)(target.check)
        hypothesis.seed(seed * 1_000_003 + turn)(HOW(given))()
        turn += 1
    print(f"stat::number_of_executed_units: about {turn * EXAMPLES}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], float(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4])))
