"""Checks that the engine's tests fail when a rule is changed: `python -m tests.mutation`, `make test-mutations`."""
