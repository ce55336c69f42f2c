"""Record batches of the log, parsed so that one bad record never costs its neighbors."""
