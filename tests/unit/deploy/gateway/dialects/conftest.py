"""Small models of each task, built once per run."""

from collections.abc import Iterator

import pytest

from tests.support.gateway import EngineServed, small_models


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EngineServed]:
    """The models; a test must not change them."""
    with small_models(tmp_path_factory.mktemp("models")) as served:
        yield served


@pytest.fixture
def served(small: EngineServed) -> EngineServed:
    """The models, with state of a test's own."""
    return EngineServed(small.engines)
