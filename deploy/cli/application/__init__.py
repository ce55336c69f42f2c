"""Check, run, change and watch the application of a config."""
