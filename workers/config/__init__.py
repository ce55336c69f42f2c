"""The keys, error messages, paths and JSON Schema of a config file."""
