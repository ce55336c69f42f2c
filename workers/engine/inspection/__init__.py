"""Inspects a model's untrusted config and tokenizer in a child process before they are loaded."""
