"""How a worker calls a model: one client, with retries and the isolation of records that kill replicas."""
