"""The FLOPs of a model, by hand and by the counter."""

import numpy as np
import pytest
import torch
import transformers

from labelstream.deploy.bench.measures.flops import Flops, matmul_peak


def test_flops_are_those_of_the_linear_layers_and_of_attention() -> None:
    width, hidden, layers, labels = 32, 64, 2, 3
    config = transformers.DistilBertConfig(vocab_size=50, dim=width, hidden_dim=hidden, n_layers=layers, n_heads=4)
    config.num_labels = labels
    model = transformers.DistilBertForSequenceClassification(config).eval()
    lengths = np.array([5, 17, 200], np.int32)
    per_token = 2 * layers * (4 * width * width + 2 * width * hidden)
    attention = 4 * layers * width  # scores, and their sums of values
    head = 2 * (width * width + width * labels)
    expected = sum(per_token * n + attention * n * n + head for n in lengths.tolist())
    assert Flops(model, 512).of(lengths) == pytest.approx(expected, rel=1e-6)
    # Of the last layer: queries, sums, their product, and what follows, for one token instead of all.
    for_one = 2 * (2 * width * width + 2 * width * hidden)
    less = sum(for_one * (n - 1) + 4 * width * (n * n - n) for n in lengths.tolist())
    assert Flops(model, 512, narrowed=True).of(lengths) == pytest.approx(expected - less, rel=1e-6)
    assert Flops(model, 512).of(lengths) == pytest.approx(expected, rel=1e-6)  # the model is as it was


def test_peak_is_positive() -> None:
    assert matmul_peak(torch.device("cpu"), torch.float32) > 1e8
