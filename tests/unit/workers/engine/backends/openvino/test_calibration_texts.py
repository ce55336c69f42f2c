"""Calibration texts from a file, or synthetic ones."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from labelstream.workers.engine.backends.openvino import cache, selection
from labelstream.workers.engine.backends.openvino.calibration_texts import material_for
from labelstream.workers.engine.description import ZeroShot
from labelstream.workers.engine.loading import loader
from tests.support.fake_backend import DESCRIPTION
from tests.support.refused import refusal

Folders = Callable[[str], Path]


@pytest.fixture(autouse=True)
def auto_is_for_users(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path_factory.mktemp("kept")
    monkeypatch.setattr(cache, "cached_assets_path", lambda *_, **__: folder)
    monkeypatch.setattr(loader, "takes_openvino", selection.takes_openvino)


def test_calibration_file_must_be_readable_and_long_enough(model_folder: Folders, tmp_path: Path) -> None:
    folder, texts = model_folder("distilbert"), tmp_path / "texts"
    assert "calibration_texts" in refusal(folder, quantize="int8", calibration_texts=texts)
    texts.write_text("one\n\ntwo\n")
    assert "has 2 texts; add texts, one per line, up to at least 100" in (
        refusal(folder, quantize="int8", calibration_texts=texts)
    )


def test_lines_alternate_between_calibration_and_check(tmp_path: Path) -> None:
    file = tmp_path / "texts"
    file.write_text("".join(f"text {i}\n" for i in range(150)) + "first\tsecond\n")
    material = material_for(DESCRIPTION, file)
    assert [request.text for request in material.calibration[:2]] == ["text 0", "text 2"]
    assert [request.text for request in material.held_out[:2]] == ["text 1", "text 3"]
    assert material.digest == material_for(DESCRIPTION, file).digest
    file.write_text("other\n" * 100)
    assert material.digest != material_for(DESCRIPTION, file).digest


def test_synthetic_zero_shot_texts_have_labels() -> None:
    zero_shot = replace(DESCRIPTION, task="zero-shot-classification", zero_shot=ZeroShot(0, 1))
    material = material_for(zero_shot, None)
    assert all(request.candidate_labels for request in material.calibration + material.held_out)
    assert material_for(DESCRIPTION, None).held_out[0].candidate_labels is None
