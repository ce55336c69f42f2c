"""The Python client of the HTTP gateway, blocking and async."""
