"""How a worker calls a model, retries, and finds the record that kills replicas."""
