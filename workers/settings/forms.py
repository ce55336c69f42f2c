"""The forms of names, addresses and URLs: their patterns, and each pattern in words."""

from typing import Annotated

from pydantic import Field

from labelstream.workers.records.inputs import TOPIC_FORM, TOPIC_WORDS
from labelstream.workers.records.shape import FIELD_FORM

_SERVER = r"[^,\s]+:\d{1,5}"
_NAME, _LABEL = r"^[a-z0-9]([a-z0-9_-]{0,48}[a-z0-9])?$", r"^[A-Za-z0-9]([A-Za-z0-9./_-]{0,315}[A-Za-z0-9])?$"
URL, _HOST = r"^https?://\S+$", r"^(\*\.)?[A-Za-z0-9._:-]+$"
_ORIGIN = r"^https?://[^/\s*]+$"
Name = Annotated[str, Field(pattern=_NAME)]
Label = Annotated[str, Field(pattern=_LABEL)]
Servers = Annotated[str, Field(pattern=rf"^{_SERVER}(,{_SERVER})*$")]
Server = Annotated[str, Field(pattern=rf"^{_SERVER}$")]
HostName = Annotated[str, Field(pattern=_HOST)]
Origin = Annotated[str, Field(pattern=_ORIGIN)]
# Each pattern in words, for errors.
FORMS = {
    _NAME: "must be of lower-case letters, digits, - and _, with a letter or digit at both ends, 50 at most",
    _LABEL: "must be of letters, digits, ., /, _ and -, with a letter or digit at both ends, 317 at most",
    TOPIC_FORM: TOPIC_WORDS,
    rf"^{_SERVER}(,{_SERVER})*$": "must be HOST:PORT, several joined by commas",
    rf"^{_SERVER}$": "must be HOST:PORT",
    FIELD_FORM: "must be a name of 1 to 249 characters without quotes, slashes and control characters",
    URL: "must be a URL that begins with http:// or https://",
    _HOST: "must be a host name or an address without a port, or *.DOMAIN",
    _ORIGIN: "must be an origin: http:// or https://, a host name, and a port if the URL has one",
    r"\S": "must not be blank",
}
