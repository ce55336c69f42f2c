"""The addresses on which processes of this machine listen (Linux)."""

import ipaddress
import os
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

LISTENING = "0A"


class Listener(NamedTuple):
    host: str
    port: int
    process: int


def listeners_of(processes: Iterable[int]) -> list[Listener]:
    """All TCP sockets that these processes listen on."""
    owners = {socket: process for process in processes for socket in _sockets(process)}
    found = []
    for table in ("tcp", "tcp6"):
        for line in Path("/proc/net", table).read_text(encoding="ascii").splitlines()[1:]:
            local, state, inode = (line.split()[field] for field in (1, 3, 9))
            if state == LISTENING and inode in owners:
                host, _, port = local.partition(":")
                found.append(Listener(_address(host), int(port, 16), owners[inode]))
    return found


def _sockets(process: int) -> list[str]:
    """The inodes of all sockets of these processes."""
    try:
        names = [os.readlink(entry) for entry in Path(f"/proc/{process}/fd").iterdir()]
    except OSError:  # the process ended, or closed a socket
        return []
    return [name[8:-1] for name in names if name.startswith("socket:[")]


def _address(text: str) -> str:
    """An address from the kernel's format: words of four bytes, each in the machine's byte order."""
    words = b"".join(bytes.fromhex(text[at : at + 8])[::-1] for at in range(0, len(text), 8))
    address = ipaddress.ip_address(words)
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address)
