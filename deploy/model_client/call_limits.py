"""Upper limits of one Serve call. gRPC refuses messages above 4 MiB in both directions; these limits stay below."""

MAX_CALL_BYTES = 1_000_000
# 131 KB of ids. Larger calls gain nothing on a slow model, and smaller calls spread better over its replicas. On a GPU
# with millions of tokens a second, 2,048 texts a call gained 2 to 17% over 512.
MAX_CALL_TOKENS, MAX_FAST_CALL_TOKENS = 32_768, 131_072
MAX_CALL_SEQUENCES = 2_048
_ANSWER_BYTES = 8  # one label id and one score
_ROW_BYTES = 4 + 300  # the length, and in the worst case the text of an error


def max_sequences(top_k: int) -> int:
    """Sequences that one call may have if each is answered with `top_k` labels; at least 1."""
    return max(1, min(MAX_CALL_SEQUENCES, MAX_CALL_BYTES // (_ANSWER_BYTES * top_k + _ROW_BYTES)))
