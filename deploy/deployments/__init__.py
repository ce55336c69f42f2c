"""The two Serve deployments: a model replica and a stream worker."""
