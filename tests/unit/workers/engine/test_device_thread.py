"""One thread runs submitted jobs in order, and ends by itself."""

import subprocess
import sys
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
def test_thread_survives_any_exception(error: BaseException) -> None:
    def fail() -> None:
        raise error

    device = DeviceThread("under-test")
    assert device.submit(fail).exception() is error
    assert device.submit(max, 1, 2).result() == 2
    device.shutdown()


def test_shutdown_runs_all_submitted_jobs_first() -> None:
    device, go = DeviceThread("under-test"), threading.Event()
    first, second = device.submit(go.wait), device.submit(lambda: "done")
    device.shutdown(wait=False)
    with pytest.raises(RuntimeError, match="has ended"):
        device.submit(max, 1, 2)
    go.set()
    assert (first.result(), second.result()) == (True, "done")
    device.shutdown()  # a second shutdown is allowed


def exit_with(job: str, wait_s: float) -> subprocess.CompletedProcess[str]:
    """Run a process that submits `job` and does not call shutdown."""
    code = (
        "import threading, time\n"
        "from labelstream.workers.engine import device_thread\n"
        f"device_thread.EXIT_WAIT_S = {wait_s}\n"
        f"device_thread.DeviceThread('x').submit(lambda: {job})\n"
    )
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)


def test_exit_waits_for_a_running_job() -> None:
    ended = exit_with("(time.sleep(0.3), print('done', flush=True))", wait_s=60)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "done\n", "")


def test_job_that_hangs_does_not_hold_up_the_exit() -> None:
    assert exit_with("threading.Event().wait()", wait_s=0.1).returncode == 0
