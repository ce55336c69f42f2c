"""Log lines: for people, or as JSON for whoever collects them. Never a message's text."""

import logging
import re
import sys

from labelstream.workers.settings import LogSettings

OURS = "labelstream"
INDENT = "  "  # of what a record has behind its first line


class _Lines(logging.StreamHandler):
    """To stderr, which Ray keeps among its own logs."""


class _TextFormatter(logging.Formatter):
    """Control characters, which an error's text from outside may hold, as escapes; JSON does so by itself. The lines of
    a record behind its first one are indented: `log_lines` reads them.
    """

    _CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")

    def format(self, record: logging.LogRecord) -> str:
        text = self._CONTROLS.sub(lambda found: f"\\x{ord(found[0]):02x}", super().format(record))
        return text.replace("\n", f"\n{INDENT}")


def set_up(settings: LogSettings, **place: str) -> None:
    """For this process, whoever logs in it. `place`: fields of every JSON line, joined by `/` in every other one."""
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
    """`timestamp` (ISO 8601, UTC), `level`, `logger`, `message`, `place`, and what a line says of itself by `extra`."""
    from pythonjsonlogger.json import JsonFormatter

    return JsonFormatter(
        "{levelname}{name}{message}",
        style="{",
        timestamp=True,
        static_fields=place,
        rename_fields={"levelname": "level", "name": "logger"},
    )
