"""Tensors of the protocol: inputs to texts, columns of answers to outputs."""

import struct
from collections.abc import Sequence
from itertools import chain
from math import prod
from typing import Any, NamedTuple

import numpy as np

from labelstream.deploy.gateway.dialects.v2.bodies import InferRequest, InputTensor
from labelstream.deploy.gateway.served import WrongField

BYTES, FP32, INT64 = "BYTES", "FP32", "INT64"
_LENGTH = struct.Struct("<I")
_NUMPY = {FP32: "<f4", INT64: "<i8"}


class Output(NamedTuple):
    """`values`: in row-major order."""

    name: str
    datatype: str
    shape: list[int]
    values: list[Any]

    def binary(self) -> bytes:
        """The values by the binary tensor extension: numbers in little endian, each text behind its length."""
        if self.datatype != BYTES:
            return np.asarray(self.values, _NUMPY[self.datatype]).tobytes()
        texts = [value.encode() for value in self.values]
        return b"".join(chain.from_iterable((_LENGTH.pack(len(text)), text) for text in texts))


def read_texts(request: InferRequest, binary: bytes) -> dict[str, tuple[list[int], list[str]]]:
    """Shape and texts of each input, by its name. `binary`: the bytes behind the JSON. Raises WrongField."""
    found: dict[str, tuple[list[int], list[str]]] = {}
    start = 0
    for index, tensor in enumerate(request.inputs):
        place = f"inputs[{index}]"
        if tensor.datatype != BYTES:
            raise WrongField(f"{place}.datatype: must be BYTES")
        if tensor.name in found:
            raise WrongField(f"{place}.name: another input has the same name")
        size = tensor.parameters.binary_data_size
        if size is None:
            texts = _of_data(tensor, place)
        else:
            texts = _of_binary(binary[start : start + size], size, place)
            start += size
        if len(texts) != prod(tensor.shape):
            raise WrongField(f"{place}.shape: {tensor.shape} is not the shape of {len(texts)} texts")
        found[tensor.name] = tensor.shape, texts
    if start != len(binary):
        raise WrongField(f"binary_data_size: the inputs have {start} bytes, but {len(binary)} came behind the JSON")
    return found


def _of_data(tensor: InputTensor, place: str) -> list[str]:
    """The texts of a flat or nested list."""
    if tensor.data is None:
        raise WrongField(f"{place}.data: is missing; send a list, or binary data with binary_data_size")
    texts: Sequence[Any] = tensor.data
    while any(type(one) is list for one in texts):
        texts = list(chain.from_iterable(one if type(one) is list else [one] for one in texts))
    if any(type(one) is not str for one in texts):
        raise WrongField(f"{place}.data: must hold texts alone")
    return list(texts)


def _of_binary(data: bytes, size: int, place: str) -> list[str]:
    if len(data) != size:
        raise WrongField(f"{place}.parameters.binary_data_size: is {size}, but {len(data)} bytes came")
    texts: list[str] = []
    at = 0
    while at < size:
        if at + _LENGTH.size > size:
            raise WrongField(f"{place}: the binary data ends in the length of text {len(texts)}")
        start = at + _LENGTH.size
        at = start + _LENGTH.unpack_from(data, at)[0]
        if at > size:
            raise WrongField(f"{place}: the binary data ends in text {len(texts)}")
        try:
            texts.append(data[start:at].decode())
        except UnicodeDecodeError:
            raise WrongField(f"{place}: text {len(texts)} is not UTF-8; send UTF-8") from None
    return texts
