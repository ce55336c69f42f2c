"""Records in, offsets out: which partitions are ours, where reading starts, and the commit of what is done."""
