"""Tensors as Triton's own client writes and reads them."""

import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tritonclient.utils import deserialize_bytes_tensor, serialize_byte_tensor

from labelstream.deploy.gateway.dialects.v2.bodies import InferRequest
from labelstream.deploy.gateway.dialects.v2.tensors import BYTES, FP32, INT64, Output, read_texts
from labelstream.deploy.gateway.served import WrongField

TEXTS = st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=1, max_size=5)


def request(*inputs: dict[str, Any]) -> InferRequest:
    return InferRequest.model_validate({"inputs": [{"datatype": BYTES, **one} for one in inputs]})


def binary_input(name: str, texts: list[str], shape: list[int] | None = None) -> tuple[dict[str, Any], bytes]:
    data = serialize_byte_tensor(np.array([text.encode() for text in texts], np.object_)).item()
    return {"name": name, "shape": shape or [len(texts)], "parameters": {"binary_data_size": len(data)}}, data


@given(TEXTS, TEXTS)
def test_binary_texts_are_those_of_tritons_client(texts: list[str], others: list[str]) -> None:
    first, first_data = binary_input("text", texts, [len(texts), 1])
    second, second_data = binary_input("candidate_labels", others)
    assert read_texts(request(first, second), first_data + second_data) == {
        "text": ([len(texts), 1], texts),
        "candidate_labels": ([len(others)], others),
    }


@pytest.mark.parametrize("data", [["a", "b"], [["a"], ["b"]], ["a", ["b"]]])
def test_lists_may_be_flat_or_nested(data: list[Any]) -> None:
    assert read_texts(request({"name": "text", "shape": [2, 1], "data": data}), b"") == {"text": ([2, 1], ["a", "b"])}


@pytest.mark.parametrize(
    ("tensor", "binary", "problem"),
    [
        ({"datatype": "FP32", "data": [1.0]}, b"", "inputs[0].datatype: must be BYTES"),
        ({"data": ["a", 1]}, b"", "inputs[0].data: must hold texts alone"),
        ({"data": [["a"], None]}, b"", "inputs[0].data: must hold texts alone"),
        ({}, b"", "inputs[0].data: is missing"),
        ({"data": ["a", "b"]}, b"", "inputs[0].shape: [1] is not the shape of 2 texts"),
        ({"data": []}, b"", "inputs[0].shape: [1] is not the shape of 0 texts"),
        ({"data": ["a"]}, b"x", "binary_data_size: the inputs have 0 bytes, but 1 came"),
        ({"parameters": {"binary_data_size": 6}}, b"", "inputs[0].parameters.binary_data_size: is 6, but 0 bytes"),
        ({"parameters": {"binary_data_size": 3}}, b"\1\0\0", "inputs[0]: the binary data ends in the length of text 0"),
        ({"parameters": {"binary_data_size": 5}}, b"\2\0\0\0a", "inputs[0]: the binary data ends in text 0"),
        ({"parameters": {"binary_data_size": 5}}, b"\1\0\0\0\xff", "inputs[0]: text 0 is not UTF-8"),
    ],
)
def test_wrong_tensor_is_refused_by_its_place(tensor: dict[str, Any], binary: bytes, problem: str) -> None:
    with pytest.raises(WrongField) as caught:
        read_texts(request({"name": "text", "shape": [1], **tensor}), binary)
    assert caught.value.message.startswith(problem)


def test_two_inputs_of_one_name_are_refused() -> None:
    tensor = {"name": "text", "shape": [1], "data": ["a"]}
    with pytest.raises(WrongField, match=r"^inputs\[1\]\.name: another input"):
        read_texts(request(tensor, tensor), b"")


@given(st.binary(max_size=40))
def test_any_binary_data_is_texts_or_refused(data: bytes) -> None:
    tensor = {"name": "text", "shape": [1], "parameters": {"binary_data_size": len(data)}}
    try:
        found = read_texts(request(tensor), data)
    except WrongField:
        return
    (text,) = found["text"][1]
    assert struct.pack("<I", len(text.encode())) + text.encode() == data


@given(TEXTS)
def test_triton_reads_texts_of_an_output(texts: list[str]) -> None:
    found = deserialize_bytes_tensor(Output("label", BYTES, [len(texts)], texts).binary())
    assert [text.decode() for text in found] == texts


@pytest.mark.parametrize(("datatype", "kind"), [(FP32, np.float32), (INT64, np.int64)])
def test_numbers_of_an_output_are_little_endian(datatype: str, kind: Any) -> None:
    assert np.frombuffer(Output("score", datatype, [2], [1, 3]).binary(), kind).tolist() == [1, 3]
