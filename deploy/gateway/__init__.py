"""The HTTP gateway: answers requests of several dialects with the models that the pipelines use."""
