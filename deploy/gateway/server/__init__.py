"""The HTTP application around the dialects: who may send requests, how many, and how large."""
