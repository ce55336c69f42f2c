"""A call's scores on the device -> numpy arrays on the host, by one copy right behind the call's own work."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from labelstream.workers.engine.inference.scoring import Scored


class HostCopy(NamedTuple):
    """`label_ids`: int32 [n, k], or None where the scores are in the order of the ids. `scores`: float32 [n, k].
    `finite`: bool [n]."""

    label_ids: NDArray[np.int32] | None
    scores: NDArray[np.float32]
    finite: NDArray[np.bool_]


def begin_fetch(parts: Sequence[Scored], mark: Callable[[], Callable[[], None]]) -> Callable[[], HostCopy]:
    """Enqueue the copy of all rows of `parts` (at least one, of one width), in their order.

    The result waits for this copy alone, not for work that is begun later. `mark`: see `Backend.mark`.
    """
    whole = torch.cat([_columns(part) for part in parts])
    host = whole.to("cpu", non_blocking=True)  # into pinned memory, which torch keeps for the next call
    wait, ranked = mark(), parts[0].label_ids is not None

    def fetched() -> HostCopy:
        wait()
        values = host.numpy()
        width = (values.shape[1] - 1) // (2 if ranked else 1)
        label_ids = values[:, width : 2 * width].astype(np.int32) if ranked else None
        return HostCopy(label_ids, values[:, :width], values[:, -1] != 0)

    return fetched


def _columns(part: Scored) -> torch.Tensor:
    """float32 [n, k or 2 k, and 1]: scores, ids where there are any, and whether they are finite. Ids are far below
    2^24, up to which float32 has every integer."""
    ids = () if part.label_ids is None else (part.label_ids.float(),)
    return torch.cat((part.scores, *ids, part.finite[:, None].float()), dim=1)
