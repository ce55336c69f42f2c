"""The sdist and the wheel, and a checkout, where a user may put them: `make dist`."""
