"""DeBERTa's buckets of relative positions as a table in the converted model.

They are logarithms rounded up, and OpenVINO's logarithm differs from torch's in the last digit: at a bucket's edge,
where the greatest distance always lies, that is another bucket.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from transformers import PreTrainedModel
from transformers.models.deberta_v2 import modeling_deberta_v2


@contextmanager
def tabled(model: PreTrainedModel, max_length: int) -> Iterator[None]:
    """Within it DeBERTa looks positions up, of texts of at most `max_length` tokens; other models go on as ever."""
    config = model.config
    buckets = getattr(config, "position_buckets", -1)
    if config.model_type != "deberta-v2" or buckets < 1:
        yield
        return
    most = config.max_relative_positions
    most = config.max_position_embeddings if most < 1 else most
    original = modeling_deberta_v2.make_log_bucket_position
    table = original(torch.arange(-max_length, max_length + 1), buckets, most)

    def looked_up(relative_pos: torch.Tensor, bucket_size: int, max_position: int) -> torch.Tensor:
        assert (bucket_size, max_position) == (buckets, most)
        return table[relative_pos + max_length]

    modeling_deberta_v2.make_log_bucket_position = looked_up
    try:
        yield
    finally:
        modeling_deberta_v2.make_log_bucket_position = original
