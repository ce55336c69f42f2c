"""Simulate an autoscaling policy on a trace: partitions, workers, nodes and replicas in discrete time."""
