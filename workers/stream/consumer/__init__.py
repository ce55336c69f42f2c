"""Read records and commit offsets: assigned partitions, start offsets, polling and the offset commit."""
