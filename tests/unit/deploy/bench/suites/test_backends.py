"""The comparison of the backends, on a small model."""

import json
from pathlib import Path

from typer.testing import CliRunner

from labelstream.deploy.cli.main import app
from tests.support.models import TEXTS, build


def test_backends_have_all_figures(tmp_path: Path) -> None:
    model, texts, figures = build(tmp_path / "model"), tmp_path / "texts", tmp_path / "figures.json"
    texts.write_text("\n".join(TEXTS))
    command = [
        "bench",
        "backends",
        "-m",
        str(model),
        "--texts",
        str(texts),
        "--count",
        "40",
        "--rounds",
        "1",
        "--dtype",
        "float32",
        "--json",
        str(figures),
    ]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    found = json.loads(figures.read_text())["backends"]
    assert {name: way["dtype"] for name, way in found.items()} == {
        "torch": "float32",
        "openvino": "float32",
        "openvino int8": "int8",
    }
    assert all(way["texts_per_s"] > 0 for way in found.values())
    assert found["torch"]["of_torch"] == found["torch"]["agreement"] == found["openvino"]["agreement"] == 1
    assert 0.5 < found["openvino int8"]["agreement"] <= 1
