"""Serve's HTTP proxy in front of the gateway: its options, its port, and what it hides."""
