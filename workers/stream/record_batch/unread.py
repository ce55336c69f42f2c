"""What stands for parts of a record that are no text, that were left out, or that could not be read at all."""

from labelstream.schemas.dead_letter import Reason


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


class HeadersLeftOut(list[tuple[str, bytes | None]]):
    """In the place of headers that are too many: none. `number`: how many there are; `size`: their bytes."""

    def __init__(self, number: int, size: int) -> None:
        super().__init__()
        self.number, self.size = number, size

    def told(self) -> str:
        """For a header of the dead letter."""
        return f"count={self.number};bytes={self.size}"


class Unread(bytes):
    """In the place of the value of a record that could not be read: empty, with the reason of its dead letter."""

    reason: Reason
    problem: str

    def __new__(cls, reason: Reason, problem: str) -> "Unread":
        self = super().__new__(cls)
        self.reason, self.problem = reason, problem
        return self
