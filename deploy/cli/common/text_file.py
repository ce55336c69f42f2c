"""The user's text files: lines or rows, compressed or not, recognized by their suffixes; `-` is stdin."""

import csv
import gzip
import io
import os
import sys
import zlib
from codecs import BOM_UTF8
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from labelstream.workers.errors import ConfigError, LabelstreamError, StartError
from labelstream.workers.file_errors import file_problem

_CHUNK_BYTES = 16 * 1024  # of a compressed file: few bytes may decompress to many


class LineError(LabelstreamError):
    """A line cannot be used. The error gives the line's number, never its text."""


class Row(NamedTuple):
    """A row of a table: the number of its last line in the file, and its cells by column."""

    number: int
    cells: dict[str, str]


class TextFile:
    """An open file. `separator`: the character between the cells of a row; None for a file of lines.

    `is_json`: the suffix is one of JSON.
    """

    def __init__(self, name: str, raw: BinaryIO) -> None:
        self.name, self._raw = name, raw
        suffixes = [suffix.lower() for suffix in Path(name).suffixes]
        packed = suffixes.pop() if suffixes and suffixes[-1] in (".gz", ".zst") else None
        self.separator = {".csv": ",", ".tsv": "\t"}.get(suffixes[-1] if suffixes else "")
        self.is_json = bool(suffixes) and suffixes[-1] in (".json", ".jsonl", ".ndjson")
        status = os.fstat(raw.fileno())
        self.is_regular = name != "-" and os.path.isfile(name)
        self.size_bytes = status.st_size or None
        self._stream: Any = raw
        if packed == ".gz":
            self._stream = gzip.GzipFile(fileobj=raw)
        elif packed == ".zst":
            self._stream = io.BufferedReader(_Zstd(raw), 1024 * 1024)

    @property
    def is_terminal(self) -> bool:
        return self._raw.isatty()

    @property
    def position_bytes(self) -> int:
        """The bytes of the file that are read so far, for a progress bar."""
        return self._raw.tell() if self.is_regular else 0

    def lines(self) -> Iterator[bytes]:
        """The decompressed lines. Raises StartError if the file is damaged, or not compressed as its suffix says."""
        try:
            yield from self._stream
        except (OSError, EOFError, zlib.error) as error:
            raise StartError(f"{self.name}: damaged, or not compressed as its suffix says: {error}") from None


@contextmanager
def open_text_file(name: str) -> Iterator[TextFile]:
    """Raises ConfigError if the file cannot be read."""
    if name == "-":
        yield TextFile(name, sys.stdin.buffer)
        return
    with _opened(name) as raw:
        yield TextFile(name, raw)


def _opened(name: str) -> BinaryIO:
    try:
        return Path(name).open("rb")
    except OSError as error:
        problem = f"cannot be read ({file_problem(error, name)})"
        raise ConfigError(name, problem, "give a file, or - for stdin") from None


def read_rows(lines: Iterable[bytes], separator: str) -> Iterator[Row]:
    """The rows below the header. Cells of a CSV may be quoted; cells of a TSV never are (IANA).

    Raises LineError for the first line that cannot be read.
    """
    csv.field_size_limit(sys.maxsize)
    quoting = csv.QUOTE_MINIMAL if separator == "," else csv.QUOTE_NONE
    table = csv.reader(_decoded(lines), delimiter=separator, quoting=quoting, strict=True)
    header: list[str] | None = None
    while True:
        try:
            cells = next(table, None)
        except csv.Error as error:
            raise LineError(f"line {table.line_num}: not a row of a table ({error})") from None
        if cells is None:
            return
        if not cells:
            continue
        if header is None:
            header = cells
            if len(set(header)) < len(header):
                raise LineError(f"line {table.line_num}: the header has two columns of the same name")
        elif len(cells) != len(header):
            problem = f"has {len(cells)} cells, but the header has {len(header)}{_other_separator(header, separator)}"
            raise LineError(f"line {table.line_num}: {problem}")
        else:
            yield Row(table.line_num, dict(zip(header, cells, strict=True)))


def _other_separator(header: list[str], separator: str) -> str:
    """What to say of a header that another character than `separator` seems to separate; empty if none does."""
    other = next((one for one in ";\t|," if len(header) == 1 and one in header[0]), None)
    return "" if other is None else f", with {other!r} in place of {separator!r} between its names"


def _decoded(lines: Iterable[bytes]) -> Iterator[str]:
    for number, line in enumerate(lines, 1):
        try:
            yield (line.removeprefix(BOM_UTF8) if number == 1 else line).decode("utf-8")
        except UnicodeDecodeError:
            raise LineError(f"line {number}: not UTF-8") from None


class _Zstd(io.RawIOBase):
    """Reads consecutive frames. Unlike zstandard's own reader, raises an error at the end of a truncated file."""

    def __init__(self, raw: BinaryIO) -> None:
        import zstandard

        self._raw, self._error = raw, zstandard.ZstdError
        self._new = zstandard.ZstdDecompressor().decompressobj
        self._frame: Any = None
        self._decompressed = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._decompressed:
            rest = self._frame.unused_data if self._frame is not None and self._frame.eof else b""
            chunk = rest or self._raw.read(_CHUNK_BYTES)
            if not chunk:
                if self._frame is not None and not self._frame.eof:
                    raise EOFError("the last frame is not complete")
                return 0
            if self._frame is None or self._frame.eof:
                self._frame = self._new()
            try:
                self._decompressed = memoryview(self._frame.decompress(chunk))
            except self._error as error:
                raise OSError(str(error)) from None
        count = min(len(buffer), len(self._decompressed))
        buffer[:count], self._decompressed = self._decompressed[:count], self._decompressed[count:]
        return count
