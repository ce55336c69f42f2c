"""A network between browser and gateway that a test can cut off."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

PART = 65_536


class Relay:
    """Forwards `url` to a port of this machine. `state`: "up"; "down" closes all connections; "silent" forwards nothing
    and closes nothing.
    """

    def __init__(self, listener: socket.socket, port: int) -> None:
        self._listener, self._port = listener, port
        self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        self.state = "up"
        self._open: list[socket.socket] = []

    def down(self) -> None:
        self.state = "down"
        for one in self._open:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def accept(self) -> None:
        """Forward connections until the listener is closed."""
        with suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                if self.state == "down":
                    near.close()
                    continue
                far = socket.create_connection(("127.0.0.1", self._port))
                self._open += [near, far]
                for ends in ((near, far), (far, near)):
                    threading.Thread(target=self._forward, args=ends, daemon=True).start()

    def _forward(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while part := source.recv(PART):
                while self.state == "silent":
                    time.sleep(0.05)
                target.sendall(part)
        with suppress(OSError):
            target.shutdown(socket.SHUT_RDWR)


@contextmanager
def relay(port: int) -> Iterator[Relay]:
    """A relay to `port`, until the end of the context."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        made = Relay(listener, port)
        threading.Thread(target=made.accept, daemon=True).start()
        try:
            yield made
        finally:
            made.down()
            listener.shutdown(socket.SHUT_RDWR)
