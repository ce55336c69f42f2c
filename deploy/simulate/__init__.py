"""What a policy makes of a trace of arrivals: a model of partitions, workers, nodes and replicas in discrete time."""
