"""Writes the generated parts of docs/reference/ from the code: settings, commands, metrics, payloads and errors."""
