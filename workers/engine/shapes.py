"""Which shapes forwards are rounded up to, so that few different ones are recorded. Pure arithmetic, no torch.

A recorded forward (a CUDA graph) runs on one shape alone. What is added is padding, which costs; each further shape
costs a recording and memory. Launching the kernels is what recording saves, and that matters where they are short.
"""

MOST_PADDED_SLOTS = 8_192  # beyond, computing takes longer than launching
_FINE, _FINE_TO, _COARSE = 16, 128, 64
_LEAST_TOKENS, _TOKEN_STEP = 64, 1_024
_LEAST_LONGEST = 32


def round_width(width: int, longest: int) -> int:
    """The width to run a padded batch of `width` tokens at; never over `longest`, which is the model's limit."""
    step = _FINE if width <= _FINE_TO else _COARSE
    return max(width, min(longest, _up(width, step)))


def round_count(n: int) -> int:
    """1, 2, 3, 4, 6, 8, 12, 16...: two per doubling, so that less than half is added."""
    power = 1 << max(0, n - 1).bit_length()
    return 3 * power // 4 if power >= 4 and n <= 3 * power // 4 else power


def round_padded(n: int, width: int, longest: int) -> tuple[int, int] | None:
    """(sequences, width) for a padded batch; None where recording it would not pay."""
    rounded = round_count(n), round_width(width, longest)
    return rounded if rounded[0] * rounded[1] <= MOST_PADDED_SLOTS else None


def round_packed(tokens: int, n: int, longest: int) -> tuple[int, int, int]:
    """(tokens, sequences, longest) for a batch without padding.

    Tokens that no sequence has are computed in vain; sequences without tokens, and a limit above the longest, cost next
    to nothing.
    """
    power = 1 << max(0, tokens - 1).bit_length()
    rounded = max(_LEAST_TOKENS, power) if tokens <= _TOKEN_STEP else _up(tokens, _TOKEN_STEP)
    return rounded, round_count(n), max(_LEAST_LONGEST, 1 << max(0, longest - 1).bit_length())


def _up(value: int, step: int) -> int:
    return -(-value // step) * step
