"""The runtimes that run a model."""
