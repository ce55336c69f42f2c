"""SASL logins of kafka-python with a password that is read again at each login."""

from typing import Any

from kafka.errors import KafkaConnectionError
from kafka.net.sasl import register_sasl_mechanism
from kafka.net.sasl.plain import SaslMechanismPlain
from kafka.net.sasl.scram import SaslMechanismScram

from labelstream.workers.config_file import secret_of
from labelstream.workers.errors import ConfigError
from labelstream.workers.settings.kafka import SecuritySettings


class Password:
    """Replaces the password in a client's configuration. Logs cannot contain the password."""

    def __init__(self, security: SecuritySettings) -> None:
        self._security = security

    def read(self) -> str:
        """The password. Raises `ConfigError` with the key."""
        password = secret_of(self._security.password, self._security.password_file, "kafka.security.password_file")
        assert password is not None, "BUG: SecuritySettings requires a password"
        return password


class Plain(SaslMechanismPlain):
    def __init__(self, **config: Any) -> None:
        super().__init__(**_with_password(config))


class Scram(SaslMechanismScram):
    def __init__(self, **config: Any) -> None:
        super().__init__(**_with_password(config))


def _with_password(config: dict[str, Any]) -> dict[str, Any]:
    password = config.get("sasl_plain_password")
    if not isinstance(password, Password):
        return config
    try:
        return config | {"sasl_plain_password": password.read()}
    except ConfigError as error:  # retriable: the file may be half replaced
        raise KafkaConnectionError(str(error)) from error


MECHANISMS: dict[str, type[Plain] | type[Scram]] = {"PLAIN": Plain, "SCRAM-SHA-256": Scram, "SCRAM-SHA-512": Scram}
for name, mechanism in MECHANISMS.items():
    register_sasl_mechanism(name, mechanism, overwrite=True)
