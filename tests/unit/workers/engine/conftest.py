"""Models are built once per run, each when a test first asks for it."""

import shutil
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest
import torch

from labelstream.workers.engine.loading import loader
from labelstream.workers.engine.options import ModelOptions
from tests.support.models import build, scale_weights


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """One thread: the threads of small models mostly wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session", autouse=True)
def auto_is_torch() -> Iterator[None]:
    """No OpenVINO by default: converting a small model takes longer than most tests. Tests about OpenVINO enable it."""
    takes_openvino = loader.takes_openvino

    def asked(source: str, options: ModelOptions, device: torch.device) -> bool:
        return takes_openvino(source, options, device) and (options.backend != "auto" or options.quantize is not None)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loader, "takes_openvino", asked)
        yield


@pytest.fixture(scope="session", autouse=True)
def files_are_trusted() -> Iterator[None]:
    """No inspection in a child process by default: it takes half of a test's time. Tests about it enable it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loader, "inspect_in_child", lambda source, folder: None)
        yield


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """family -> the folder of its model with three labels. Read only: copy it before changing anything."""
    built: dict[str, Path] = {}

    def folder(family: str) -> Path:
        if family not in built:
            built[family] = build(tmp_path_factory.mktemp(family), family, labels=("a", "b", "c"))
        return built[family]

    return folder


@pytest.fixture(scope="session")
def calm(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], Path]:
    """A model's folder -> that of a copy with smaller weights, which bfloat16 rounds no worse than trained ones. Read
    only."""

    @cache
    def copied(folder: Path) -> Path:
        return scale_weights(Path(shutil.copytree(folder, tmp_path_factory.mktemp("calm") / "model")), 0.6)

    return copied


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """family -> the folder of its masked language model. Read only."""

    @cache
    def folder(family: str) -> Path:
        return build(tmp_path_factory.mktemp(f"masked-{family}"), family, architecture="ForMaskedLM")

    return folder


@pytest.fixture
def copied(model_folder: Callable[[str], Path], tmp_path: Path) -> Path:
    """The folder of a model with three labels, which a test may change."""
    return Path(shutil.copytree(model_folder("distilbert"), tmp_path / "model"))
