"""What an exception says, and whether it is memory that was lacking. No torch."""

_MAX_CHARS = 200
LESS_MEMORY = "lower max_length, by whose square attention takes memory, or max_batch_tokens"
# cuBLAS and cuDNN allocate for themselves, and name a status of their own where that fails. cuBLAS names another one
# where it lacks memory for its handle.
_MEMORY_TEXTS = (
    "out of memory",
    "can't allocate memory",
    "not enough memory",
    "status_alloc_failed",
    "allocation_failed",
    "cublas_status_not_initialized when calling `cublascreate",
)


def one_line(error: BaseException) -> str:
    """The exception's class and the first line of its text, shortened."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0] if lines else ''}"[:_MAX_CHARS]


def is_out_of_memory(error: BaseException) -> bool:
    """Whether a smaller batch might pass."""
    if isinstance(error, MemoryError) or any(kind.__name__ == "OutOfMemoryError" for kind in type(error).__mro__):
        return True
    text = str(error).lower()
    return isinstance(error, RuntimeError) and any(part in text for part in _MEMORY_TEXTS)
