"""A password from a file is read anew for each login, and shown to nobody."""

from pathlib import Path

import pytest
from kafka.errors import KafkaConnectionError
from kafka.net.sasl import get_sasl_mechanism

from labelstream.workers.settings.kafka import SecuritySettings
from labelstream.workers.stream.broker.sasl import MECHANISMS, Password


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "password"


def password(file: Path) -> Password:
    security = {"protocol": "SASL_SSL", "sasl_mechanism": "PLAIN", "username": "ann", "password_file": file}
    return Password(SecuritySettings.model_validate(security))


def test_changed_file_is_used_for_the_next_login(file: Path) -> None:
    secret = password(file)
    for text in ("first", "second"):
        file.write_text(f"{text}\n")
        login = get_sasl_mechanism("PLAIN")(sasl_plain_username="ann", sasl_plain_password=secret)
        assert login.auth_bytes() == f"ann\0ann\0{text}".encode()


def test_missing_file_may_be_there_for_the_next_login(file: Path) -> None:
    with pytest.raises(KafkaConnectionError, match=r"kafka\.security\.password_file: .* cannot be read"):
        get_sasl_mechanism("PLAIN")(sasl_plain_username="ann", sasl_plain_password=password(file))


def test_kafka_python_takes_ours_for_each_mechanism(file: Path) -> None:
    file.write_text("hush")
    for name, mechanism in MECHANISMS.items():
        assert get_sasl_mechanism(name) is mechanism
        mechanism(sasl_mechanism=name, sasl_plain_username="ann", sasl_plain_password=password(file))
        mechanism(sasl_mechanism=name, sasl_plain_username="ann", sasl_plain_password="plain text")


def test_password_has_no_text_that_could_be_logged(file: Path) -> None:
    file.write_text("hush")
    assert "hush" not in f"{password(file)!r} {password(file)}"
