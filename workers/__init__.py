"""The stream and the engine: what a worker and a model replica do, without Ray."""
