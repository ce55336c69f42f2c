"""The only thread that uses the device."""

import atexit
from collections.abc import Callable
from concurrent.futures import Executor, Future
from queue import SimpleQueue
from threading import Lock, Thread
from typing import Any
from weakref import WeakSet

EXIT_WAIT_S = 2.0
_Job = Callable[[], None]
_running: "WeakSet[DeviceThread]" = WeakSet()


class DeviceThread(Executor):
    """An executor that runs one job at a time on a daemon thread.

    The interpreter waits at its end for the threads of a `ThreadPoolExecutor`; a job that hangs would block the exit.
    """

    def __init__(self, name: str) -> None:
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._closing = Lock()
        self._closed = False
        self._thread = Thread(target=self._run, name=name, daemon=True)
        self._thread.start()
        _running.add(self)

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "Future[Any]":
        """Raises RuntimeError after `shutdown`."""
        future: Future[Any] = Future()

        def job() -> None:
            try:
                result = fn(*args, **kwargs)
            except BaseException as error:  # the thread must survive every job
                future.set_exception(error)
            else:
                future.set_result(result)

        with self._closing:
            if self._closed:
                raise RuntimeError("the thread has ended")
            self._jobs.put(job)
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the thread after all submitted jobs. `cancel_futures` has no effect."""
        with self._closing:
            if not self._closed:
                self._closed = True
                self._jobs.put(None)
        if wait:
            self._thread.join()

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()


@atexit.register
def _end_all() -> None:
    """End the threads that nobody has shut down; a job that hangs delays the exit by `EXIT_WAIT_S` alone.

    The interpreter stops daemon threads wherever they are. In native code that aborts the process.
    """
    for executor in list(_running):
        executor.shutdown(wait=False)
        executor._thread.join(EXIT_WAIT_S)
