"""The text of an exception in one line, and whether the device was out of memory. No torch."""

_MAX_CHARS = 200
LESS_MEMORY = "lower max_batch_tokens or max_length (attention takes memory by the square of max_length)"
# cuBLAS and cuDNN allocate memory themselves and have their own status codes for a failure; cuBLAS has another one if
# it cannot allocate its handle.
_MEMORY_TEXTS = (
    "out of memory",
    "can't allocate memory",
    "not enough memory",
    "status_alloc_failed",
    "allocation_failed",
    "cublas_status_not_initialized when calling `cublascreate",
)


def one_line(error: BaseException) -> str:
    """The exception's class and the first line of its text, at most 200 characters."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0] if lines else ''}"[:_MAX_CHARS]


def is_out_of_memory(error: BaseException) -> bool:
    """Whether `error` means that memory ran out, so that a smaller batch might pass."""
    if isinstance(error, MemoryError) or any(kind.__name__ == "OutOfMemoryError" for kind in type(error).__mro__):
        return True
    text = str(error).lower()
    return isinstance(error, RuntimeError) and any(part in text for part in _MEMORY_TEXTS)
