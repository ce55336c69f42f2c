"""Measures the HTTP gateway beside textbook servers, and beside a backlog of the stream."""
