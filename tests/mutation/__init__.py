"""Does a change of any rule of the engine fail its tests? `python -m tests.mutation`, or `make test-mutations`."""
