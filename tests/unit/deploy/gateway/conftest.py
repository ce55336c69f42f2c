"""Asynchronous tests run on asyncio, which the gateway uses."""

import pytest


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
