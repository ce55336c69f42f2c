"""Whether bfloat16 pays on this CPU: a short trial of the product that models spend most of their time in."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache

import torch
from torch import nn

from labelstream.workers.engine.backends.pytorch.prepacked_linear import pack_linears

# Products take about four fifths of a model's time in float32. Softmax, norms and GELU gain nothing. So a model is a
# third faster where products are 1.5 times as fast. Less is not worth two digits of the scores. CPUs are far from it on
# either side (below 1 where the instructions are slow, 2 and more where they are fast), so that noise does not decide.
MARGIN = 1.5

_ROWS, _INPUTS, _OUTPUTS = 128, 768, 3072  # for more rows the ratio is the same within 10%
_ROUNDS = 10
Run = Callable[[], object]


@cache
def bfloat16_speedup() -> float:
    """How many times as fast as float32's the products in bfloat16 are on one core; measured once per process.

    Takes 0.2 s. One thread's own CPU time says the same on a busy machine. Several threads wait for each other there,
    and the ratio of their times was anything from 0.3 to 17 where it should have been 2.3.
    """
    with _one_thread(), torch.inference_mode():
        return speedup(*_products(), clock=time.thread_time)


def speedup(base: Run, other: Run, *, clock: Callable[[], float]) -> float:
    """How many times as fast as `base` `other` is: of alternating runs the fastest of each. `clock`: seconds."""
    fastest = [float("inf")] * 2
    for turn in range(_ROUNDS + 1):
        for index, run in enumerate((base, other)):
            started = clock()
            run()
            if turn:  # the first run makes its code
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
    generator = torch.Generator().manual_seed(0)  # torch's own stays as it is
    hidden, weight, bias = (
        torch.empty(shape).uniform_(-0.05, 0.05, generator=generator)
        for shape in ((_ROWS, _INPUTS), (_OUTPUTS, _INPUTS), (_OUTPUTS,))
    )
    linear = nn.Linear(_INPUTS, _OUTPUTS, device="meta")  # takes no random numbers
    linear.weight, linear.bias = (nn.Parameter(part.to(torch.bfloat16), requires_grad=False) for part in (weight, bias))
    packed, halved = nn.Sequential(linear), hidden.to(torch.bfloat16)
    pack_linears(packed)
    return lambda: nn.functional.linear(hidden, weight, bias), lambda: packed(halved)
