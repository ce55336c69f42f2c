"""When what was produced counts as done: at least once or exactly once."""
