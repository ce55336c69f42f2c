"""Create topics, and read and write their records."""
