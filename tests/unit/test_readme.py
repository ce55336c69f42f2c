"""What README shows as a config is one."""

import re
from pathlib import Path
from typing import Any

import yaml

from labelstream.deploy.observability.metrics.table import METRICS
from labelstream.workers.config_file import load_settings

README = Path(__file__).parents[2] / "README.md"
PIPELINE = {"input": "in", "output": "out", "dead_letter": "dead"}


def test_every_config_in_the_readme_is_accepted() -> None:
    blocks = re.findall(r"^```yaml\n(.*?)^```", README.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    configs: list[dict[str, Any]] = [config for block in blocks if "models" in (config := yaml.safe_load(block))]
    assert len(configs) > 1
    for config in configs:
        pipelines = {"p": {**PIPELINE, "model": next(iter(config["models"]))}}
        load_settings({"kafka": {"bootstrap_servers": "h:1"}, "pipelines": pipelines, **config})


def test_every_metric_is_in_the_readme() -> None:
    table = README.read_text(encoding="utf-8").split("## Watching it")[1].split("\n## ")[0]
    listed = {f"labelstream_{name}" for name in re.findall(r"`([a-z_]+)`", table)}
    assert METRICS.keys() - listed == set()
