"""Tokenizes texts exactly as transformers does, but faster."""
