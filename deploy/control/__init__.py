"""The control plane: collects reports, decides the number of replicas and forwards an operator's commands."""
