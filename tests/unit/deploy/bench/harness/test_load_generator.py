"""The settings of librdkafka, secrets among them."""

import json
from pathlib import Path
from typing import Any

from labelstream.deploy.bench.harness.load_generator import librdkafka_config
from labelstream.deploy.bench.harness.topics import plain
from labelstream.workers.settings import KafkaSettings

KAFKA = KafkaSettings(bootstrap_servers="h:1")


def test_secrets_are_given_to_librdkafka_and_to_nobody_else(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("hidden\n")
    security: Any = {
        "protocol": "SASL_SSL",
        "sasl_mechanism": "PLAIN",
        "username": "u",
        "ca_file": "/ca",
        "password_file": str(tmp_path / "password"),
    }
    kafka = KafkaSettings(bootstrap_servers="h:1", security=security)
    config = librdkafka_config(kafka)
    assert config["sasl.password"] == "hidden"
    assert (config["security.protocol"], config["ssl.ca.location"]) == ("SASL_SSL", "/ca")
    assert "ssl.key.location" not in config
    assert "hidden" not in json.dumps(plain(kafka))
    assert librdkafka_config(KAFKA) == {"bootstrap.servers": "h:1", "security.protocol": "PLAINTEXT", "log_level": 2}
