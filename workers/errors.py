"""The error tree. `retriable` says whether the same call may succeed later without anybody changing anything.

LabelstreamError
├── ConfigError            the config file or the environment is wrong: names the key and the fix
├── ModelError             a model cannot be loaded: not found, no safetensors, no sequence classifier, ...
├── StartError             what the config names is not there: broker, topic, permission, port, ...
├── InferenceError         a classifier gave no answer for reasons that are not the records' (retriable)
│   ├── ModelChanged       the replica serves another revision than the caller prepared its input for
│   └── FailedApart        the model failed on sequences that it ran by themselves, right after a text that it answered
└── StreamError            the stream cannot go on: it stops without committing and is started anew (retriable)
    ├── RecordRefused      the broker refused a record for itself: it is looked for record by record
    ├── Fenced             the broker has ended our transaction: a new process takes over (not retriable)
    └── OffsetOutOfRange   the committed offset is no longer in the log: an operator decides (not retriable)

A record that is at fault itself is no exception but a value, `labelstream.workers.classifier.RecordError`.
"""


class LabelstreamError(Exception):
    """Base of all errors that Labelstream raises on purpose. Its text is one line, meant for a person."""

    retriable = False


class ConfigError(LabelstreamError):
    """`key` is the dotted path of the setting at fault, empty where none is; `fix` what to do about it.

    `others`: what else is wrong. The text is of the first alone, and says how many others there are; `lines` has all.
    """

    def __init__(self, key: str, problem: str, fix: str = "", others: "tuple[ConfigError, ...]" = ()) -> None:
        self.key, self.problem, self.fix, self.others = key, problem, fix, others
        super().__init__(key, problem, fix, others)  # all arguments: exceptions cross process borders by pickle

    @property
    def lines(self) -> list[str]:
        """One for each error."""
        own = f"{self.key}: " * bool(self.key) + self.problem + f"; {self.fix}" * bool(self.fix)
        return [own, *(line for other in self.others for line in other.lines)]

    def __str__(self) -> str:
        first, *others = self.lines
        return f"{first} (and {len(others)} more)" if others else first


class ModelError(LabelstreamError):
    """A model's source cannot be served. The text names the source and the fix."""


class StartError(LabelstreamError):
    """Something outside of us that the config names is missing or refuses us."""


class InferenceError(LabelstreamError):
    """No answer for a whole call: transport, a dead replica, backpressure. Never a reason for a dead letter."""

    retriable = True


class ModelChanged(InferenceError):
    """The model behind the handle is not the one whose tokenizer and labels the caller holds."""


class FailedApart(InferenceError):
    """The model answered a known good text, and failed as a whole on the sequences that it ran alone after it."""


class StreamError(LabelstreamError):
    """Kafka refused something in mid-stream, or a result was not acknowledged in time."""

    retriable = True


class RecordRefused(StreamError):
    """A record that was sent is none that its topic takes, for its size or for what it is."""


class Fenced(StreamError):
    """The coordinator no longer accepts this producer: its transaction took too long, or the process was frozen."""

    retriable = False


class OffsetOutOfRange(StreamError):
    """Messages between the committed offset and the log's start are gone. Never jumped over silently."""

    retriable = False


class CommandRefused(Exception):
    """A command cannot be obeyed; the text says why. Not `ours`: by this worker."""

    def __init__(self, text: str, ours: bool = True) -> None:
        super().__init__(text)
        self.ours = ours
