from pathlib import Path

import pytest
import torch

from tests.gpu.uninstalled import make_importable

make_importable(Path(__file__).parents[2])


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if not torch.cuda.is_available():
        for item in items:
            if item.get_closest_marker("gpu"):
                item.add_marker(pytest.mark.skip(reason="torch finds no GPU"))
