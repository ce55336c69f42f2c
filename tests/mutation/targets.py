"""Which modules hold the rules, and which tests are to notice when one of them changes."""

from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
_ENGINE = "workers/engine"
_NAMES = (
    "scoring", "describing", "windows", "frame", "tokenizer", "words", "wordcache", "places", "openings", "ends",
    "refusals", "batcher", "packed", "answers", "reading", "last_layer", "packing", "tasks/acceptance",
    "tasks/classification", "tasks/embedding", "tasks/fill_mask", "tasks/prepared", "tasks/repeats", "tasks/zero_shot",
)  # fmt: skip
_TESTS = (
    "acceptance", "answers", "batcher", "describing", "embedding", "fill_mask", "frame", "last_layer", "loading",
    "long_texts", "packed", "parity", "predictor", "refusals", "repeats", "scoring", "tasks", "tokenizer", "windows",
    "without_padding", "words", "zero_shot",
)  # fmt: skip
TEST_FILES = tuple(f"tests/unit/engine/test_{name}.py" for name in _TESTS)


class Target(NamedTuple):
    """A module under test. `module`: its dotted name."""

    path: Path
    module: str

    @property
    def short(self) -> str:
        """Its path below the root."""
        return str(self.path.relative_to(ROOT))


def targets(only: tuple[str, ...] = ()) -> list[Target]:
    """Those whose path ends with one of `only`; all without any."""
    found = [ROOT / _ENGINE / f"{name}.py" for name in _NAMES]
    return [Target(path, f"labelstream.{'.'.join(path.relative_to(ROOT).with_suffix('').parts)}")
            for path in found if not only or str(path).endswith(only)]
