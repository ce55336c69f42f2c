"""When what was produced counts as done and its offsets are committed: at least once or exactly once."""
