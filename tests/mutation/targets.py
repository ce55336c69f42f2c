"""The modules whose rules are mutated, and the tests that must notice."""

from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
_ENGINE = "workers/engine"
_NAMES = (
    "backends/pytorch/heads",
    "backends/pytorch/last_layer",
    "backends/pytorch/unpadded",
    "inference/forward_layout",
    "inference/forward_plan",
    "inference/scoring",
    "loading/describe",
    "ragged",
    "tasks/base",
    "tasks/classification",
    "tasks/deduplicate",
    "tasks/embedding",
    "tasks/fill_mask",
    "tasks/postprocess",
    "tasks/thresholds",
    "tasks/windows",
    "tasks/zero_shot",
    "tokenization/edge_tokens",
    "tokenization/refusals",
    "tokenization/special_tokens",
    "tokenization/split_points",
    "tokenization/tokenizer",
    "tokenization/truncation",
    "tokenization/word_cache",
    "tokenization/word_rules",
)
_OF_SEVERAL = (  # tests of several modules
    "inference/answers",
    "inference/input_limits",
    "inference/predictor",
    "inference/isolating_runner",
    "loading/loader",
    "tasks/zero_shot_answers",
    "parity",
)
TEST_FILES = tuple(
    str(Path("tests/unit", _ENGINE, name).with_name(f"test_{Path(name).name}.py")) for name in (*_NAMES, *_OF_SEVERAL)
)


class Target(NamedTuple):
    """A module under test. `module`: its dotted name."""

    path: Path
    module: str

    @property
    def short(self) -> str:
        """Its path below the root."""
        return str(self.path.relative_to(ROOT))


def targets(only: tuple[str, ...] = ()) -> list[Target]:
    """The targets whose path ends with one of `only`; all if `only` is empty."""
    found = [ROOT / _ENGINE / f"{name}.py" for name in _NAMES]
    return [
        Target(path, f"labelstream.{'.'.join(path.relative_to(ROOT).with_suffix('').parts)}")
        for path in found
        if not only or str(path).endswith(only)
    ]
