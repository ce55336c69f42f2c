"""A run on a machine with other users and dead proxies: `make test-machine`."""
