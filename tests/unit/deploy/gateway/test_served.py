from labelstream.deploy.gateway.served import Busy, Late, NotReady, RequestRefused, UnknownModel, WrongField, WrongTask


def test_errors_have_their_statuses() -> None:
    statuses = [error("").status for error in (UnknownModel, WrongTask, Busy, NotReady, Late, RequestRefused)]

    assert statuses == [404, 422, 429, 503, 504, 500]


def test_wrong_task_is_a_wrong_field() -> None:
    assert issubclass(WrongTask, WrongField)


def test_busy_names_the_seconds_until_a_retry() -> None:
    assert Busy("full", retry_after_s=2.6).headers == {"Retry-After": "3"}


def test_retry_is_never_told_for_at_once() -> None:
    assert NotReady("stopping", retry_after_s=0).headers == {"Retry-After": "1"}


def test_error_without_headers_adds_none() -> None:
    assert dict(Late("no answer").headers) == {}
    assert str(Late("no answer")) == "no answer"
