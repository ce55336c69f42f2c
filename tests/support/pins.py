"""The versions that `make lock` pins, with the hashes of their files."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
CONSTRAINTS = ROOT / ".ci" / "constraints.txt"


def pins(file: Path = CONSTRAINTS) -> dict[str, str]:
    """The version of each package, by its name."""
    return dict(re.findall(r"^([^\s=]+)==([^\s;]+)", file.read_text(encoding="utf-8"), re.MULTILINE))


def hashed(file: Path = CONSTRAINTS) -> set[str]:
    """The packages whose pin has hashes."""
    return set(re.findall(r"^([^\s=]+)==[^\n]*\\\n    --hash=sha256:[0-9a-f]{64}", file.read_text(), re.MULTILINE))
