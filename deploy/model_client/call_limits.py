"""How large one Serve call may be. gRPC refuses messages above 4 MiB, in both directions: these stay well below."""

MAX_CALL_BYTES = 1_000_000
# 131 KB of ids. Larger calls gain nothing where the model needs a while for them, and smaller ones spread better over
# its replicas. On a GPU that does millions of tokens a second, 2,048 texts a call gained 2 to 17% over 512.
MAX_CALL_TOKENS, MAX_FAST_CALL_TOKENS = 32_768, 131_072
MAX_CALL_SEQUENCES = 2_048
_ANSWER_BYTES = 8  # one label id and one score
_ROW_BYTES = 4 + 300  # its length, and at worst the text of its error


def max_sequences(top_k: int) -> int:
    """How many sequences one call may have when each is answered with `top_k` labels; >= 1."""
    return max(1, min(MAX_CALL_SEQUENCES, MAX_CALL_BYTES // (_ANSWER_BYTES * top_k + _ROW_BYTES)))
