"""The section `kafka`: contradictory security and timeouts."""

from typing import Any

import pytest

from labelstream.workers.config_file import load_settings
from labelstream.workers.errors import ConfigError
from tests.support.config_tree import tree


@pytest.mark.parametrize(
    ("security", "words"),
    [
        ({"protocol": "SASL_SSL"}, "needs sasl_mechanism"),
        ({"username": "u"}, "no effect with protocol PLAINTEXT"),
        ({"ca_file": "/x"}, "no effect with protocol PLAINTEXT"),
        ({"protocol": "SSL", "cert_file": "/x"}, "need each other"),
        ({"protocol": "SSL", "key_password_file": "/x"}, "key password has no effect without key_file"),
        ({"password": "hunter2"}, "secrets do not belong in the config file"),
    ],
)
def test_contradictory_security_is_refused(security: dict[str, Any], words: str) -> None:
    config = tree()
    config["kafka"]["security"] = security
    with pytest.raises(ConfigError, match=words) as caught:
        load_settings(config)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("change", [{"delivery_timeout_ms": 5_000}, {"max_poll_interval_ms": 6_000}])
def test_contradictory_timeouts_are_refused(change: dict[str, int]) -> None:
    config = tree()
    config["kafka"] |= change
    with pytest.raises(ConfigError, match="raise the first or lower the second"):
        load_settings(config)
