"""What `labelstream bench` measures. Imports torch: only when it is asked for."""
