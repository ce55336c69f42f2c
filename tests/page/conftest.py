"""One browser for all tests of the page."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.page.browser import Browser, browser


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("profile")) as found:
        yield found


@pytest.fixture
def tab(chromium: Browser) -> Iterator[Browser]:
    """The tab on a light desktop. The test fails if the console has an error that the test did not read."""
    chromium.look()
    chromium.errors()
    yield chromium
    errors = chromium.errors()
    chromium.open("about:blank")
    assert errors == []


@pytest.fixture(scope="session")
def pictures() -> Path:
    """Where screenshots are left for a person."""
    folder = Path(__file__).parents[2] / "build" / "page"
    folder.mkdir(parents=True, exist_ok=True)
    return folder
