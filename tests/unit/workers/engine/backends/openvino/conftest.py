"""Every test here has a cache of its own."""

from pathlib import Path

import pytest

from labelstream.workers.engine.backends.openvino import cache, selection
from labelstream.workers.engine.loading import loader
from labelstream.workers.engine.modeling import shape


@pytest.fixture(autouse=True)
def kept(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of converted models, for tests in which `auto` means the same as for users."""
    folder = tmp_path_factory.mktemp("kept")
    monkeypatch.setattr(cache, "cached_assets_path", lambda *_, **__: folder)
    sizes = tmp_path_factory.mktemp("sizes")
    monkeypatch.setattr(shape, "cached_assets_path", lambda *_, **__: sizes)
    monkeypatch.setattr(loader, "takes_openvino", selection.takes_openvino)
    return folder
