"""One thread runs what is submitted, in turn, and ends by itself."""

import threading

import pytest

from labelstream.workers.engine.device_thread import DeviceThread


def test_jobs_run_in_turn_on_one_daemon() -> None:
    device, seen = DeviceThread("under-test"), []
    futures = [device.submit(lambda i=i: seen.append((i, threading.current_thread()))) for i in range(20)]
    for future in futures:
        future.result()
    assert [i for i, _ in seen] == list(range(20))
    (thread,) = {thread for _, thread in seen}
    assert (thread.name, thread.daemon) == ("under-test", True)
    device.shutdown()
    assert not thread.is_alive()


@pytest.mark.parametrize("error", [ValueError("x"), KeyboardInterrupt(), SystemExit(3)])
def test_thread_goes_on_after_any_exception(error: BaseException) -> None:
    def fail() -> None:
        raise error

    device = DeviceThread("under-test")
    assert device.submit(fail).exception() is error
    assert device.submit(max, 1, 2).result() == 2
    device.shutdown()


def test_shutdown_ends_after_all_that_is_submitted() -> None:
    device, go = DeviceThread("under-test"), threading.Event()
    first, second = device.submit(go.wait), device.submit(lambda: "done")
    device.shutdown(wait=False)
    with pytest.raises(RuntimeError, match="has ended"):
        device.submit(max, 1, 2)
    go.set()
    assert (first.result(), second.result()) == (True, "done")
    device.shutdown()  # twice does no harm
