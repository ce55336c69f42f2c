"""A checkpoint as transformers builds it: its shape, its weights, and torch's backend for it."""
