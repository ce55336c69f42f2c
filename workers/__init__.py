"""The code of a stream worker and of a model replica, without Ray."""
