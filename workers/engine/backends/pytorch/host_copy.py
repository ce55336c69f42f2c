"""Copies a call's scores to the host, in one copy that the device runs right after the call's own work."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from labelstream.workers.engine.inference.scoring import Scored


class HostCopy(NamedTuple):
    """The scores on the host; see `Scored`. `label_ids`: int32 [n, k], or None. `scores`: float32 [n, k].
    `finite`: bool [n]."""

    label_ids: NDArray[np.int32] | None
    scores: NDArray[np.float32]
    finite: NDArray[np.bool_]


def begin_fetch(parts: Sequence[Scored], mark: Callable[[], Callable[[], None]]) -> Callable[[], HostCopy]:
    """Start to copy all rows of `parts` (at least one, all of one width), in order.

    Returns a function that waits for this copy, not for later work. `mark`: see `Backend.mark`.
    """
    whole = torch.cat([_columns(part) for part in parts])
    host = whole.to("cpu", non_blocking=True)  # into pinned memory, which torch reuses for the next call
    wait, ranked = mark(), parts[0].label_ids is not None

    def fetched() -> HostCopy:
        wait()
        values = host.numpy()
        width = (values.shape[1] - 1) // (2 if ranked else 1)
        label_ids = values[:, width : 2 * width].astype(np.int32) if ranked else None
        return HostCopy(label_ids, values[:, :width], values[:, -1] != 0)

    return fetched


def _columns(part: Scored) -> torch.Tensor:
    """float32 [n, k + 1 or 2 k + 1]: scores, ids if there are any, and 1 for finite rows. float32 is exact for ids,
    which are far below 2^24."""
    ids = () if part.label_ids is None else (part.label_ids.float(),)
    return torch.cat((part.scores, *ids, part.finite[:, None].float()), dim=1)
