"""Labeled sentences of the demo, some with a wrong label, because the demo's model knows most of them."""

import json
from pathlib import Path

from labelstream.deploy.cli.common.arguments import DEMO_MODEL


def write_sentences(path: Path) -> list[str]:
    """Write 902 rows to `path` as JSON lines, every ninth with the wrong label. Returns the texts."""
    files = (DEMO_MODEL.parent / f"{name}.jsonl" for name in ("written", "handwritten"))
    rows = [json.loads(line) for file in files for line in file.read_text(encoding="utf-8").splitlines()]
    for row in rows[::9]:
        row["label"] = "POSITIVE" if row["label"] == "NEGATIVE" else "NEGATIVE"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return [row["text"] for row in rows]
