"""Errors of single records that their tokenization shows. No torch."""

from labelstream.workers.classifier import Fault, RecordError

NO_TOKENS = RecordError(Fault.INVALID_MESSAGE, "the text has no tokens")
LONE_SURROGATE = RecordError(Fault.INVALID_MESSAGE, "the text has a lone surrogate, which UTF-8 cannot hold")


def unreadable(error: BaseException, text: str) -> RecordError:
    """The error of `text`, for which the tokenizer raises or panics.

    A panic is pyo3's PanicException, a BaseException, of which each extension module has its own class. Raises `error`
    itself if the text is not its cause, such as KeyboardInterrupt and SystemExit.
    """
    if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
        raise error
    try:
        text.encode()
    except UnicodeEncodeError:  # the tokenizer's own error may be a TypeError
        return LONE_SURROGATE
    return RecordError(Fault.INVALID_MESSAGE, f"the tokenizer refuses the text: {type(error).__name__}")


def too_large(tokens: int, sequences: int, max_tokens: int) -> RecordError:
    """The error of a message whose `sequences` have `tokens` tokens together, more than `max_tokens`."""
    return RecordError(
        Fault.TOO_LARGE,
        f"{tokens} tokens in {sequences} sequence{'s'[: sequences > 1]}; limits.max_tokens_per_message is {max_tokens}",
    )
