"""Placeholders for unreadable values, omitted headers, and header names that are not UTF-8."""

from labelstream.schemas.dead_letter import Reason


class HeaderName(str):
    """A header name that is not UTF-8: each invalid byte is a lone surrogate, as with `surrogateescape`.

    `encode` always returns the original bytes, because kafka-python encodes names strictly.
    """

    __slots__ = ()

    def encode(self, encoding: str = "utf-8", errors: str = "surrogateescape") -> bytes:
        return str.encode(self, "utf-8", "surrogateescape")


def header_name(name: bytes) -> str:
    """The decoded name; a `HeaderName` if the bytes are not UTF-8."""
    try:
        return name.decode()
    except UnicodeDecodeError:
        return HeaderName(name, "utf-8", "surrogateescape")


class HeadersLeftOut(list[tuple[str, bytes | None]]):
    """Replaces too many headers by an empty list. `number`: headers omitted; `size`: their bytes."""

    def __init__(self, number: int, size: int) -> None:
        super().__init__()
        self.number, self.size = number, size

    def told(self) -> str:
        """Content of a dead letter's header, such as `count=2000;bytes=90000`."""
        return f"count={self.number};bytes={self.size}"


class Unread(bytes):
    """Replaces the value of an unreadable record: empty, with the reason and problem of its dead letter."""

    reason: Reason
    problem: str

    def __new__(cls, reason: Reason, problem: str) -> "Unread":
        self = super().__new__(cls)
        self.reason, self.problem = reason, problem
        return self
