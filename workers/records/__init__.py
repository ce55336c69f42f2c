"""Settings of a pipeline's records: places of the message's parts, conditions, the output's shape and routes."""
