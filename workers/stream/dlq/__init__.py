"""Dead letters read back, chosen and redriven once; the worker knows nothing of it."""
