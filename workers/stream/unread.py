"""What stands for parts of a record that are no text, or that could not be read at all."""

from schemas.dead_letter import Reason


class HeaderName(str):
    """A header's name whose bytes are not UTF-8: each wrong byte is a lone surrogate, as `surrogateescape` makes them.

    kafka-python encodes names strictly, so `encode` gives the bytes as they came, whatever it is asked for.
    """

    __slots__ = ()

    def encode(self, encoding: str = "utf-8", errors: str = "surrogateescape") -> bytes:
        return str.encode(self, "utf-8", "surrogateescape")


def header_name(name: bytes) -> str:
    """A `HeaderName` where the bytes are not UTF-8. Its `encode` gives the same bytes again."""
    try:
        return name.decode()
    except UnicodeDecodeError:
        return HeaderName(name, "utf-8", "surrogateescape")


class Unread(bytes):
    """In the place of the value of a record that could not be read: empty, with the reason of its dead letter."""

    reason: Reason
    problem: str

    def __new__(cls, reason: Reason, problem: str) -> "Unread":
        self = super().__new__(cls)
        self.reason, self.problem = reason, problem
        return self
