"""Clients whose dependencies contradict ours, each in an environment of its own: `make test-clients`."""
