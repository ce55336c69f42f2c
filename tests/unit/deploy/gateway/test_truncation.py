from dataclasses import replace

import pytest

from labelstream.deploy.gateway.served import RequestRefused, WrongField
from labelstream.deploy.gateway.truncation import TextTooLong, Truncation
from labelstream.workers.classifier import Embedding
from labelstream.workers.engine.description import Keep
from tests.support.task_descriptions import EMBEDDING

SHORT, LONG = Embedding((1.0,), 3, False, "rev"), Embedding((1.0,), 24, True, "rev")


def refusal(truncation: Truncation, keep: Keep = Keep.HEAD, in_list: bool = True) -> RequestRefused | None:
    try:
        truncation.check([SHORT, LONG] if in_list else [LONG], replace(EMBEDDING, keep=keep), "inputs", in_list)
    except RequestRefused as error:
        return error
    return None


@pytest.mark.parametrize(("in_list", "status", "place"), [(True, 413, "inputs[1]"), (False, 422, "inputs")])
def test_long_text_is_refused(in_list: bool, status: int, place: str) -> None:
    found = refusal(Truncation(False), in_list=in_list)
    assert isinstance(found, TextTooLong)
    assert found.status == status
    assert found.message == f"{place}: the text has more than 24 tokens; shorten it, or allow truncation"


@pytest.mark.parametrize(("direction", "keep"), [("Right", Keep.HEAD), ("left", Keep.TAIL), (None, Keep.HEAD_TAIL)])
def test_text_may_be_cut_where_the_model_cuts(direction: str | None, keep: Keep) -> None:
    assert refusal(Truncation(direction=direction), keep) is None


@pytest.mark.parametrize("direction", ["left", "Left", "right", "Right"])
def test_cut_at_the_other_end_is_refused(direction: str) -> None:
    other = Keep.HEAD if direction.lower() == "left" else Keep.TAIL
    for keep in (other, Keep.HEAD_TAIL):
        assert isinstance(refusal(Truncation(direction=direction), keep), WrongField)


def test_texts_that_fit_pass_any_rule() -> None:
    Truncation(False, "left").check([SHORT], EMBEDDING, "inputs", False)
