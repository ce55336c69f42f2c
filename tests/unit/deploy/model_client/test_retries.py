"""Which failures of a Serve call are got over: every class that Ray, Serve and gRPC raise."""

import grpc
import pytest
from ray import exceptions as ray_errors
from ray.serve import exceptions as serve_errors
from ray.serve._private.common import DeploymentID

from labelstream.deploy.model_client.retries import may_pass_later
from labelstream.workers.classifier import Fault
from labelstream.workers.errors import FailedApart, InferenceError, ModelChanged
from tests.support.crashing_replica import innocent
from tests.support.fake_handle import FakeHandle, by_length, raising
from tests.support.slow_model import check, connected, holds_poison, insist, whole_failure


def rpc_error(code: grpc.StatusCode) -> grpc.aio.AioRpcError:
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), grpc.aio.Metadata())


def name(error: Exception) -> str:
    return error.code().name if isinstance(error, grpc.aio.AioRpcError) else type(error).__name__


@pytest.mark.parametrize(
    "error",
    [
        ray_errors.ActorDiedError(),
        ray_errors.ActorUnavailableError("gone", b"x" * 16),
        ray_errors.WorkerCrashedError(),
        ray_errors.NodeDiedError("gone"),
        ray_errors.ObjectLostError("ref", None, "stack"),
        ray_errors.GetTimeoutError(),
        ray_errors.TaskCancelledError(),
        ray_errors.OutOfMemoryError("the node"),
        ray_errors.RpcError("no route"),
        serve_errors.BackPressureError(3, 2),
        serve_errors.ReplicaUnavailableError("r"),
        serve_errors.DeploymentUnavailableError(DeploymentID("m")),
        serve_errors.RequestCancelledError("r"),
        *(
            rpc_error(getattr(grpc.StatusCode, code))
            for code in ("UNAVAILABLE", "CANCELLED", "DEADLINE_EXCEEDED", "INTERNAL", "UNKNOWN", "ABORTED")
        ),
        ConnectionResetError(),
        BrokenPipeError(),
        TimeoutError(),
        InferenceError("the device is gone"),
    ],
    ids=name,
)
def test_what_says_nothing_about_the_records_is_tried_again(error: Exception) -> None:
    assert may_pass_later(error)


def raised_there(cause: Exception) -> Exception:
    """As it reaches the caller of a replica whose own code raised it."""
    return ray_errors.RayTaskError("classify", "traceback", cause).as_instanceof_cause()


@pytest.mark.parametrize(
    "error",
    [
        ModelChanged("another"),
        raised_there(ModelChanged("another")),
        TypeError("a bug"),
        raised_there(TypeError("a bug")),
        *(
            rpc_error(getattr(grpc.StatusCode, code))
            for code in ("RESOURCE_EXHAUSTED", "INVALID_ARGUMENT", "UNIMPLEMENTED")
        ),
    ],
    ids=name,
)
def test_what_would_only_happen_again_is_not(error: Exception) -> None:
    assert not may_pass_later(error)


def test_a_model_that_fails_as_a_whole_is_tried_again() -> None:
    assert may_pass_later(raised_there(InferenceError("the model fails on any text")))


@pytest.mark.usefixtures("fast")
def test_record_that_fails_whole_model_is_refused_alone() -> None:
    class Broken(FakeHandle):
        def invoke(self, method: str, *args: object) -> object:
            if method != "describe" and holds_poison(args[0]):  # type: ignore[arg-type]
                raise whole_failure(InferenceError("the device") if method == "classify" else FailedApart("the device"))
            return super().invoke(method, *args)

    texts = [innocent(i) for i in range(40)]
    texts[7] = "d"
    with connected(Broken(), 10.0) as classifier:
        answers, failed = insist(classifier, texts)
    check(texts, answers, Fault.INFERENCE_FAILED)
    assert failed == 0


@pytest.mark.usefixtures("fast")
def test_a_model_that_fails_on_any_text_makes_nobody_a_dead_letter() -> None:
    fails = raising(whole_failure(InferenceError("the model fails on any text")))
    handle = FakeHandle(*[fails] * 30, by_length)
    with connected(handle, 10.0) as classifier:
        answers, _ = insist(classifier, ["a", "a b"])
    check(["a", "a b"], answers, Fault.INFERENCE_FAILED)
