"""TCP proxy in front of the broker: cuts and freezes connections, and delays requests of one kind."""

import asyncio
import struct
import threading
from collections.abc import Coroutine
from typing import Any

from tests.kafka import KafkaBroker
from tests.kafka.broker import free_port
from tests.kafka.settings import HOST

PRODUCE, OFFSET_COMMIT, END_TXN = 0, 8, 26  # Kafka's api keys


def in_front_of(broker: KafkaBroker) -> tuple["Proxy", str]:
    """A proxy and its address, for a broker that has not started. Clients of `broker.bootstrap` bypass the proxy."""
    port, behind = free_port(), free_port()
    broker.override(
        {
            "listeners": f"CLIENT://{HOST}:{broker.port},PROXY://{HOST}:{behind},"
            f"CONTROLLER://{HOST}:{broker.controller_port}",
            "advertised.listeners": f"CLIENT://{HOST}:{broker.port},PROXY://{HOST}:{port}",
            "listener.security.protocol.map": "CLIENT:PLAINTEXT,PROXY:PLAINTEXT,CONTROLLER:PLAINTEXT",
        }
    )
    return Proxy(port, behind), f"{HOST}:{port}"


class Proxy:
    """Listens on loopback at `port` and connects to `target`. Runs in a thread until `close`."""

    def __init__(self, port: int, target: int) -> None:
        self._port, self._target = port, target
        self._loop = asyncio.new_event_loop()
        self._links: set[asyncio.Task[None]] = set()
        self._open = True
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._held: dict[int, float] = {}
        self._stopped: set[int] = set()
        self.held = 0
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._thread.start()
        self._server = self._run(asyncio.start_server(self._accept, "127.0.0.1", port))

    def cut(self) -> None:
        """Close all connections and accept none, until `mend`."""

        async def cut() -> None:
            self._open = False
            for link in list(self._links):
                link.cancel()

        self._run(cut())

    def freeze(self) -> None:
        """Forward no bytes until `mend`: connections stay open, as with a pulled cable."""
        self._loop.call_soon_threadsafe(self._flowing.clear)

    def stop(self, api_key: int) -> None:
        """Hold requests of this kind until `mend`: they arrive late, even if their clients have given up."""
        self._stopped.add(api_key)

    def mend(self) -> None:
        self._open = True
        self._stopped.clear()
        self._loop.call_soon_threadsafe(self._flowing.set)

    def hold(self, api_key: int, seconds: float) -> None:
        """Delay the next request of this kind, and all later ones on its connection."""
        self._held[api_key] = seconds

    def close(self) -> None:
        self._run(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    def _run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(10)

    async def _end(self) -> None:
        self._server.close()
        self._flowing.set()
        for link in list(self._links):
            link.cancel()
        await asyncio.sleep(0.05)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._links.add(task)
        try:
            if self._open:
                await self._link(reader, writer)
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self._links.discard(task)
            writer.transport.abort()

    async def _link(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", self._target)
        ways = [asyncio.create_task(self._requests(reader, back)), asyncio.create_task(self._answers(there, writer))]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            back.transport.abort()
            await asyncio.gather(*ways, return_exceptions=True)

    async def _requests(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            size = await reader.readexactly(4)
            frame = await reader.readexactly(struct.unpack(">i", size)[0])
            api_key = struct.unpack(">h", frame[:2])[0]
            while api_key in self._stopped:
                await asyncio.sleep(0.02)
            seconds = self._held.pop(api_key, None)
            if seconds is not None:
                self.held += 1
                await asyncio.sleep(seconds)
            await self._flowing.wait()
            writer.write(size + frame)
            await writer.drain()

    async def _answers(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            await self._flowing.wait()
            writer.write(data)
            await writer.drain()
