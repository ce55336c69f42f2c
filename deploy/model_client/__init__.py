"""How a worker calls a model, retries, and isolates a poison record."""
