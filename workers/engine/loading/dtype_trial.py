"""Measures how much faster bfloat16 is on this CPU, by the matrix product that dominates a model's time."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache

import torch
from torch import nn

from labelstream.workers.engine.backends.pytorch.prepacked_linear import pack_linears

# Matrix products take about four fifths of a model's time in float32; softmax, norms and GELU do not get faster. At 1.5
# a model is a third faster. A smaller gain is not worth two digits of the scores. CPUs measure below 1 or above 2, so
# noise does not decide.
MARGIN = 1.5

_ROWS, _INPUTS, _OUTPUTS = 128, 768, 3072  # more rows change the ratio by less than 10%
_ROUNDS = 10
Run = Callable[[], object]


@cache
def bfloat16_speedup() -> float:
    """Speed of a matrix product in bfloat16 as a multiple of float32's, on one core. Takes 0.2 s, once per process.

    Measures one thread's CPU time, which other load hardly changes. With several threads, which wait for each other on
    a busy machine, the ratio varied from 0.3 to 17 around the true 2.3.
    """
    with _one_thread(), torch.inference_mode():
        return speedup(*_products(), clock=time.thread_time)


def speedup(base: Run, other: Run, *, clock: Callable[[], float]) -> float:
    """Speed of `other` as a multiple of `base`'s, by the fastest of alternating runs. `clock`: returns seconds."""
    fastest = [float("inf")] * 2
    for turn in range(_ROUNDS + 1):
        for index, run in enumerate((base, other)):
            started = clock()
            run()
            if turn:  # the first run compiles its kernels
                fastest[index] = min(fastest[index], clock() - started)
    return fastest[0] / fastest[1]


@contextmanager
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _products() -> tuple[Run, Run]:
    """In float32 and in bfloat16, each in the form in which the engine runs it."""
    generator = torch.Generator().manual_seed(0)  # leaves torch's global generator unchanged
    hidden, weight, bias = (
        torch.empty(shape).uniform_(-0.05, 0.05, generator=generator)
        for shape in ((_ROWS, _INPUTS), (_OUTPUTS, _INPUTS), (_OUTPUTS,))
    )
    linear = nn.Linear(_INPUTS, _OUTPUTS, device="meta")  # meta: draws no random weights
    linear.weight, linear.bias = (nn.Parameter(part.to(torch.bfloat16), requires_grad=False) for part in (weight, bias))
    packed, halved = nn.Sequential(linear), hidden.to(torch.bfloat16)
    pack_linears(packed)
    return lambda: nn.functional.linear(hidden, weight, bias), lambda: packed(halved)
