"""Times of the model's client, shortened."""

import pytest

from labelstream.deploy.model_client import deadlines, retries


@pytest.fixture
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seconds become milliseconds: the assumed speed is high, and failures are asked again at once."""
    monkeypatch.setattr(deadlines, "FIRST_TOKENS_PER_S", 1e5)
    monkeypatch.setattr("labelstream.deploy.model_client.serve_client.ALIVE_S", 0.1)
    monkeypatch.setattr(retries, "FIRST_WAIT_S", 0.0)
