"""Whether HTTP can be served on this machine: a free port, and the files for TLS."""

import errno
import socket
from pathlib import Path
from typing import Any


def http_problem(http: Any) -> str | None:
    """Why HTTP cannot be served at `http.host` and `http.port`, with the fix; None if it can.

    Serve shares its port with any other Serve of the same user (SO_REUSEPORT), and the kernel would then give requests
    to either.
    """
    family = socket.AF_INET6 if ":" in http.host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a socket in TIME_WAIT is no obstacle
        try:
            probe.bind((http.host, http.port))
            probe.listen()
        except OSError as error:
            if error.errno in (errno.EADDRINUSE, errno.EACCES):
                return f"port {http.port} is not free ({error.strerror}); give another one"
            return f"nothing can listen on http.host {http.host} ({error.strerror}); give an address of this machine"
    for key, file in (("cert_file", http.cert_file), ("key_file", http.key_file)):
        if file is not None and not Path(file).is_file():
            return f"http.{key} {file} is not a file; check the path"
    return None
