"""Records in: which partitions are ours, where reading starts, and how far each is done."""
