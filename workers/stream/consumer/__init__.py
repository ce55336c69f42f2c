"""Read records and commit offsets: assigned partitions, start offsets, polling, corrupt batches and the commit."""
