"""The application on a connected cluster: its rollout, the calls to its control plane, and its removal."""
