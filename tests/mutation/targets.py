"""Which modules hold the rules, and which tests are to notice when one of them changes."""

from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
_ENGINE = "workers/engine"
_NAMES = (
    "backends/pytorch/heads",
    "backends/pytorch/last_layer",
    "backends/pytorch/unpadded",
    "inference/batch_plan",
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
_TESTS = (
    "backends/pytorch/test_last_layer",
    "backends/pytorch/test_unpadded",
    "inference/test_batch_plan",
    "inference/test_predictor",
    "inference/test_scoring",
    "loading/test_describe",
    "loading/test_loader",
    "tasks/test_base",
    "tasks/test_classification",
    "tasks/test_deduplicate",
    "tasks/test_embedding",
    "tasks/test_fill_mask",
    "tasks/test_postprocess",
    "tasks/test_thresholds",
    "tasks/test_windows",
    "tasks/test_zero_shot",
    "tasks/test_zero_shot_answers",
    "test_parity",
    "test_ragged",
    "tokenization/test_refusals",
    "tokenization/test_special_tokens",
    "tokenization/test_tokenizer",
    "tokenization/test_truncation",
    "tokenization/test_word_cache",
    "tokenization/test_word_rules",
)
TEST_FILES = tuple(f"tests/unit/workers/engine/{name}.py" for name in _TESTS)


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
    return [
        Target(path, f"labelstream.{'.'.join(path.relative_to(ROOT).with_suffix('').parts)}")
        for path in found
        if not only or str(path).endswith(only)
    ]
