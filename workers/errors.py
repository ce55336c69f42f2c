"""The error tree. `retriable`: the same call may succeed later, without a change by anybody.

LabelstreamError
├── ConfigError            the config file or the environment is wrong: names the key and the fix
├── ModelError             a model cannot be loaded: not found, no safetensors, no sequence classifier, ...
├── StartError             a broker, topic, permission or port that the config names is missing
├── EvaluationError        labeled texts cannot be read or do not fit the model: names the row and the fix
├── InferenceError         a classifier gave no answer, for a reason outside the records (retriable)
│   ├── ModelChanged       the replica serves another revision than the caller tokenized for
│   └── FailedApart        the model failed on sequences that it ran alone, right after it answered a known good text
├── GatewayError           a gateway refused the client's request, or one of its texts
│   └── GatewayUnavailable the gateway is busy, not ready or unreachable (retriable)
└── StreamError            the stream stops without committing, and restarts (retriable)
    ├── RecordRefused      the broker refused one record of a batch; the producer then sends them one by one
    ├── Fenced             the broker ended this producer's transaction: a new process takes over (not retriable)
    └── OffsetOutOfRange   the committed offset is no longer in the log: an operator decides (not retriable)

The fault of a single record is a value, `labelstream.workers.classifier.RecordError`, and not an exception.
"""


class LabelstreamError(Exception):
    """Base of all errors that Labelstream raises on purpose. The text is one line for a person."""

    retriable = False


class ConfigError(LabelstreamError):
    """`key`: the dotted path of the wrong setting, or empty. `fix`: what to do.

    `others`: further errors. `str()` shows the first error and the number of others; `lines` has all.
    """

    def __init__(self, key: str, problem: str, fix: str = "", others: "tuple[ConfigError, ...]" = ()) -> None:
        self.key, self.problem, self.fix, self.others = key, problem, fix, others
        super().__init__(key, problem, fix, others)  # pickle calls __init__ with these, in another process

    @property
    def lines(self) -> list[str]:
        """One line per error."""
        own = f"{self.key}: " * bool(self.key) + self.problem + f"; {self.fix}" * bool(self.fix)
        return [own, *(line for other in self.others for line in other.lines)]

    def __str__(self) -> str:
        first, *others = self.lines
        return f"{first} (and {len(others)} more)" if others else first


class ModelError(LabelstreamError):
    """A model cannot be served. The text names its source and the fix."""


class StartError(LabelstreamError):
    """An external resource that the config names is missing or refuses access."""


class EvaluationError(LabelstreamError):
    """Labeled texts cannot be evaluated: a broken row, or labels that the model does not have."""


class InferenceError(LabelstreamError):
    """A whole call has no answer: network, dead replica, backpressure. Never a reason for a dead letter."""

    retriable = True


class ModelChanged(InferenceError):
    """The replicas serve another model than the one whose tokenizer and labels the caller holds."""


class FailedApart(InferenceError):
    """The model answered a known good text, and then failed on sequences that it ran alone."""


class GatewayError(LabelstreamError):
    """The HTTP gateway gave no answer. `status`: of the response; None without one. `reason`: see `schemas`."""

    def __init__(self, message: str, status: int | None = None, reason: str = "") -> None:
        self.message, self.status, self.reason = message, status, reason
        super().__init__(message, status, reason)  # pickle calls __init__ with these, in another process

    def __str__(self) -> str:
        return self.message


class GatewayUnavailable(GatewayError):
    """The gateway is busy, not ready or unreachable. `retry_after_s`: what the gateway says of the next attempt."""

    retriable = True
    retry_after_s: float | None = None


class StreamError(LabelstreamError):
    """Kafka refused a request of the running stream, or did not acknowledge a result in time."""

    retriable = True


class RecordRefused(StreamError):
    """A topic refused a record, for its size or its content."""


class Fenced(StreamError):
    """The coordinator refuses this producer: its transaction took too long, or the process was frozen."""

    retriable = False


class OffsetOutOfRange(StreamError):
    """The log starts behind the committed offset: messages were deleted unread. Never skipped silently."""

    retriable = False


class CommandRefused(Exception):
    """A worker cannot obey an operator's command; the text says why. `ours`: False if another worker may obey it."""

    def __init__(self, text: str, ours: bool = True) -> None:
        super().__init__(text)
        self.ours = ours
