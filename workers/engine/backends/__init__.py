"""The runtimes that compute a model: torch and OpenVINO."""
