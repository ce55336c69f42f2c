"""Why one record alone gets no answer, as its tokenizing shows. No torch."""

from labelstream.workers.classifier import Fault, RecordError

NO_TOKENS = RecordError(Fault.INVALID_MESSAGE, "the text has no tokens")


def unreadable(error: BaseException) -> RecordError:
    """Of a text for which the tokenizer raises, panics of native code included.

    pyo3's PanicException is a BaseException, and each extension module has a class of its own of that name. Raises
    `error` where it is no fault of a text, as KeyboardInterrupt and SystemExit are not.
    """
    if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
        raise error
    return RecordError(Fault.INVALID_MESSAGE, f"the tokenizer refuses the text: {type(error).__name__}")


def too_large(tokens: int, sequences: int, most: int) -> RecordError:
    """Of a message that becomes `sequences` of so many `tokens` in all, where `most` are allowed."""
    return RecordError(
        Fault.TOO_LARGE,
        f"{tokens} tokens in {sequences} sequence{'s'[: sequences > 1]}; limits.max_tokens_per_message is {most}",
    )
