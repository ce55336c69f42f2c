"""Metrics under the names of text-embeddings-inference, of its dialect's requests to this gateway replica."""

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from labelstream.deploy.gateway.served import RequestRefused
from labelstream.workers.classifier import Answered
from labelstream.workers.histogram import Buckets, Histogram

# As text-embeddings-inference (router/src/prometheus.rs): seconds, and tokens of a text.
SECONDS = tuple(0.00001 * 1.5**power for power in range(1, 36))
TOKENS = tuple(2.0**power for power in range(20))
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class TeiMetrics:
    """Counts requests and texts since the start. One calling thread."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._histograms = {
            "te_request_duration": Histogram(SECONDS),
            "te_embed_duration": Histogram(SECONDS),
            "te_predict_duration": Histogram(SECONDS),
            "te_request_input_length": Histogram(TOKENS),
        }

    @contextmanager
    def request(self, kind: str, in_batch: bool) -> Iterator[None]:
        """Count a request of `kind`, embed or predict, that runs inside of the context."""
        method = f'{{method="{"batch" if in_batch else "single"}"}}'
        started = time.perf_counter()
        self._counts[f"te_request_count{method}"] += 1
        try:
            yield
        except RequestRefused as error:
            self._counts[f'te_request_failure{{err="{_reason(error)}"}}'] += 1
            raise
        self._counts[f"te_request_success{method}"] += 1
        taken_s = time.perf_counter() - started
        for name in ("te_request_duration", f"te_{kind}_duration"):
            self._histograms[name].observe(taken_s)

    def answered(self, kind: str, answers: Sequence[Answered]) -> None:
        """Count the texts of a request that were answered."""
        self._counts[f"te_{kind}_count"] += len(answers)
        self._counts[f"te_{kind}_success"] += len(answers)
        self._histograms["te_request_input_length"].observe([answer.tokens for answer in answers])

    def text(self) -> str:
        """All metrics in Prometheus' text format."""
        lines: list[str] = []
        named = ""
        for sample in sorted(self._counts):
            name = sample.partition("{")[0]
            if name != named:
                lines.append(f"# TYPE {name} counter")
                named = name
            lines.append(f"{sample} {self._counts[sample]}")
        for name, histogram in self._histograms.items():
            lines += _lines(name, histogram.buckets())
        return "\n".join(lines) + "\n"


def _reason(error: RequestRefused) -> str:
    """The label `err`; text-embeddings-inference has these four and others."""
    if error.status == 413:
        return "batch_size"
    if error.status == 429:
        return "overloaded"
    return "inference" if error.status >= 500 else "validation"


def _lines(name: str, buckets: Buckets) -> list[str]:
    lines, total = [f"# TYPE {name} histogram"], 0
    for bound, count in zip([*map(str, buckets["bounds"]), "+Inf"], buckets["counts"], strict=True):
        total += count
        lines.append(f'{name}_bucket{{le="{bound}"}} {total}')
    return [*lines, f"{name}_sum {buckets['sum']}", f"{name}_count {total}"]
