"""TLS contexts from `kafka.security`, and causes of failed handshakes."""

import ssl
import time
from pathlib import Path
from typing import Any

from kafka.errors import KafkaConnectionError

from labelstream.workers.config_file import secret_of
from labelstream.workers.errors import ConfigError, LabelstreamError, StartError
from labelstream.workers.file_errors import file_problem
from labelstream.workers.settings.kafka import SecuritySettings

KEY = "kafka.security"
# OpenSSL's X509_V_ERR_*.
_NOT_YET_VALID, _EXPIRED, _SELF_SIGNED = 9, 10, 18
_UNKNOWN_ISSUER = (2, 19, 20, 21)
_OTHER_NAME = (62, 64)


def make_context(security: SecuritySettings) -> ssl.SSLContext:
    """A context of the files as they are now. Raises `ConfigError` with key and file; never prompts for a password."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if security.ca_file is None:
        context.load_default_certs()
    else:
        _require_pem("ca_file", security.ca_file, "CERTIFICATE")
        try:
            context.load_verify_locations(security.ca_file)
        except ssl.SSLError as error:
            raise ConfigError(f"{KEY}.ca_file", f"{security.ca_file} is damaged ({_reason(error)})") from None
    if security.cert_file is not None and security.key_file is not None:
        _load_own(context, security, security.cert_file, security.key_file)
    return context


class RenewedContext:
    """Replaces an SSLContext in kafka-python: each connection reads the files again."""

    def __init__(self, security: SecuritySettings) -> None:
        self._security = security

    def wrap_socket(self, *args: Any, **kwargs: Any) -> ssl.SSLSocket:
        """As `ssl.SSLContext`. Raises KafkaConnectionError, which is retriable: a file may be half replaced."""
        try:
            return make_context(self._security).wrap_socket(*args, **kwargs)
        except LabelstreamError as error:
            raise KafkaConnectionError(str(error)) from error


def tls_problem(error: ssl.SSLError, security: SecuritySettings, address: str) -> StartError | None:
    """The error to raise for a failed handshake or first response; None if `error` has nothing to do with TLS."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return StartError(_broker_problem(error, security, address))
    alert = _reason(error)
    if alert in ("unsupported protocol", "tlsv1 alert protocol version"):
        return StartError(f"{KEY}.protocol: the broker at {address} does not support TLS 1.2 or newer")
    if "alert" not in alert:
        return None
    if security.cert_file is None:
        return StartError(
            f"{KEY}.cert_file: the broker at {address} requires a client certificate ({alert}); set cert_file and "
            "key_file"
        )
    return StartError(
        f"{KEY}.cert_file: the broker at {address} refuses the certificate in {security.cert_file} ({alert})"
        f"{_out_of_date(security.cert_file) or '; does the broker trust its CA?'}"
    )


def _broker_problem(error: ssl.SSLCertVerificationError, security: SecuritySettings, address: str) -> str:
    code, trusted = error.verify_code, f"{security.ca_file}" if security.ca_file else "the CAs of this system"
    if code == _SELF_SIGNED:
        return (
            f"{KEY}.ca_file: the certificate of the broker at {address} is self-signed, and not among {trusted}; set "
            "ca_file to a copy of it, or give the broker one of a CA"
        )
    if code in _UNKNOWN_ISSUER:
        return (
            f"{KEY}.ca_file: the certificate of the broker at {address} is of a CA that is not among {trusted} "
            f"({error.verify_message}); set ca_file to the brokers' CA"
        )
    if code in _OTHER_NAME:
        return (
            f"kafka.bootstrap_servers: the certificate of the broker at {address} is for another name "
            f"({error.verify_message.rstrip('.')}); use a name that the certificate holds, or add this one to it"
        )
    certificate = f"{KEY}.ca_file: the certificate of the broker at {address}, or of its CA among {trusted},"
    if code == _EXPIRED:
        return f"{certificate} has expired; renew it on the broker"
    if code == _NOT_YET_VALID:
        return f"{certificate} is not yet valid; compare the clocks of broker and client"
    return f"{certificate} cannot be verified ({error.verify_message})"


def _load_own(context: ssl.SSLContext, security: SecuritySettings, cert: Path, key: Path) -> None:
    _require_pem("cert_file", cert, "CERTIFICATE")
    _require_pem("key_file", key, "PRIVATE KEY")
    password = secret_of(security.key_password, security.key_password_file, f"{KEY}.key_password_file")

    def give() -> str:
        if password is None:
            fix = "set key_password_file, or the environment's LABELSTREAM_KAFKA__SECURITY__KEY_PASSWORD"
            raise ConfigError(f"{KEY}.key_file", f"{key} is encrypted, and there is no password", fix)
        return password

    try:
        context.load_cert_chain(cert, key, give)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            fix = "give the key that the certificate was made with"
            raise ConfigError(f"{KEY}.key_file", f"{key} is not the key of the certificate in {cert}", fix) from None
        if password is not None:
            file = security.key_password_file or "the environment's password"
            raise ConfigError(f"{KEY}.key_password_file", f"{file} does not open {key} ({_reason(error)})") from None
        raise ConfigError(f"{KEY}.cert_file", f"{cert} or {key} is damaged ({_reason(error)})") from None


def _require_pem(key: str, file: Path, kind: str) -> None:
    try:
        found = file.read_bytes()
    except OSError as error:
        fix = "check the path and its mode"
        raise ConfigError(f"{KEY}.{key}", f"{file} cannot be read ({file_problem(error, file)})", fix) from None
    if f"{kind}-----".encode() not in found:
        what = "certificate" if kind == "CERTIFICATE" else "private key"
        raise ConfigError(f"{KEY}.{key}", f"{file} holds no {what} in PEM", "convert it with openssl")


def _out_of_date(cert: Path) -> str:
    try:
        found: dict[str, Any] = ssl._ssl._test_decode_cert(str(cert))  # type: ignore[attr-defined]
        starts, ends = (ssl.cert_time_to_seconds(found[key]) for key in ("notBefore", "notAfter"))
    except (OSError, ValueError, LookupError, AttributeError):  # an undocumented function of Python
        return ""
    if ends < time.time():
        return f"; it has expired ({found['notAfter']})"
    return f"; it is not yet valid ({found['notBefore']})" if starts > time.time() else ""


def _reason(error: ssl.SSLError) -> str:
    """OpenSSL's reason in words, such as `certificate required`."""
    return (getattr(error, "reason", None) or str(error)).replace("_", " ").lower()
