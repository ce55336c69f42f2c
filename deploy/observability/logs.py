"""Log lines as text for people or as JSON for collectors. They never hold a message's text."""

import logging
import re
import sys

from labelstream.workers.settings.telemetry import LogSettings

OURS = "labelstream"
INDENT = "  "  # before the second and later lines of a record


class _Lines(logging.StreamHandler):
    """Writes to stderr, which Ray keeps among its own logs."""


class _TextFormatter(logging.Formatter):
    """Escapes control characters, which an error's text from outside may hold; JSON does this by itself. Continuation
    lines of a record are indented, so that `log_lines` can join them.
    """

    _CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")

    def format(self, record: logging.LogRecord) -> str:
        text = self._CONTROLS.sub(lambda found: f"\\x{ord(found[0]):02x}", super().format(record))
        return text.replace("\n", f"\n{INDENT}")


def set_up(settings: LogSettings, **place: str) -> None:
    """Set up logging of this process. `place`: fields of each JSON line; joined by `/` in text lines."""
    handler, root = _Lines(sys.stderr), logging.getLogger()
    where = "/".join(place.values()).replace("%", "%%") or "-"
    handler.setFormatter(
        json_formatter(place)
        if settings.format == "json"
        else _TextFormatter(f"%(asctime)s %(levelname)s {where} %(name)s: %(message)s")
    )
    root.handlers = [other for other in root.handlers if not isinstance(other, _Lines)] + [handler]
    logging.getLogger(OURS).setLevel(settings.level.upper())


def json_formatter(place: dict[str, str]) -> logging.Formatter:
    """Fields: `timestamp` (ISO 8601, UTC), `level`, `logger`, `message`, those of `place`, and those of `extra`."""
    from pythonjsonlogger.json import JsonFormatter

    return JsonFormatter(
        "{levelname}{name}{message}",
        style="{",
        timestamp=True,
        static_fields=place,
        rename_fields={"levelname": "level", "name": "logger"},
    )
