"""Puts DeBERTa's relative position buckets into the converted model as a table.

A bucket is a logarithm, rounded up. OpenVINO's logarithm differs from torch's in the last digit, which changes the
bucket of a distance at a bucket's edge. The greatest distance always lies at an edge.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from transformers import PreTrainedModel
from transformers.models.deberta_v2 import modeling_deberta_v2


@contextmanager
def tabled(model: PreTrainedModel, max_length: int) -> Iterator[None]:
    """Within the block DeBERTa takes the buckets of at most `max_length` tokens from a table. Others do not change."""
    config = model.config
    buckets = getattr(config, "position_buckets", -1)
    if config.model_type != "deberta-v2" or buckets < 1:
        yield
        return
    max_distance = config.max_relative_positions
    max_distance = config.max_position_embeddings if max_distance < 1 else max_distance
    original = modeling_deberta_v2.make_log_bucket_position
    table = original(torch.arange(-max_length, max_length + 1), buckets, max_distance)

    def looked_up(relative_pos: torch.Tensor, bucket_size: int, max_position: int) -> torch.Tensor:
        assert (bucket_size, max_position) == (buckets, max_distance)
        return table[relative_pos + max_length]

    modeling_deberta_v2.make_log_bucket_position = looked_up
    try:
        yield
    finally:
        modeling_deberta_v2.make_log_bucket_position = original
