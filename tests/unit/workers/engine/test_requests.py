"""The types of a program's requests are checked, and each error says what to pass."""

from collections import UserList
from typing import Any

import pytest

from labelstream.workers.classifier import Request
from labelstream.workers.engine.requests import requests_of


def test_plain_text_stands_for_a_request() -> None:
    whole = Request("b", "pair", 2, ("x", "y"), "It is {}.", True)
    assert requests_of(["a", whole]) == [Request("a"), whole]
    assert requests_of(text for text in ("a", "b")) == [Request("a"), Request("b")]


def test_lists_of_texts_become_tuples() -> None:
    (request,) = requests_of([Request("a", candidate_labels=["x", "y"], targets=UserList(["good"]))])
    assert request == Request("a", candidate_labels=("x", "y"), targets=("good",))
    assert hash(request)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("text", r"requests is a str; give a list of texts or Requests, such as \[text\]"),
        (Request("text"), "requests is a Request; give a list"),
        (None, "requests is None; give a list"),
        (3, "requests is an int; give a list"),
        (["a", None], r"requests\[1\] is None; give a str or a Request"),
        ([b"a"], r"requests\[0\] is a bytes; give a str or a Request"),
    ],
)
def test_argument_other_than_a_list_is_refused(given: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        requests_of(given)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"text": None}, "text is None; give a str"),
        ({"text_pair": 3}, "text_pair is an int; give a str or None"),
        ({"top_k": "3"}, "top_k is a str; give an int or None"),
        ({"top_k": True}, "top_k is a bool; give an int or None"),
        ({"candidate_labels": "refund"}, "candidate_labels is a str; give a list or tuple of str, or None"),
        ({"candidate_labels": {"refund"}}, "candidate_labels is a set; give a list or tuple of str, or None"),
        ({"candidate_labels": b"refund"}, "candidate_labels is a bytes; give a list or tuple of str, or None"),
        ({"candidate_labels": ("refund", 1)}, r"candidate_labels\[1\] is an int; give a str"),
        ({"hypothesis_template": 1}, "hypothesis_template is an int; give a str or None"),
        ({"multi_label": "yes"}, "multi_label is a str; give a bool or None"),
        ({"function_to_apply": 1}, "function_to_apply is an int; give a str or None"),
        ({"targets": "good"}, "targets is a str; give a list or tuple of str, or None"),
        ({"targets": ("good", None)}, r"targets\[1\] is None; give a str"),
        ({"sequences": 1}, "sequences is an int; give a bool or None"),
        ({"dimensions": True}, "dimensions is a bool; give an int or None"),
        ({"normalize": "yes"}, "normalize is a str; give a bool or None"),
    ],
)
def test_field_of_a_wrong_type_is_named(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(TypeError, match=rf"requests\[1\]\.{message}"):
        requests_of(["fine", Request(**{"text": "text", **fields})])
