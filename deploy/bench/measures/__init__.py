"""Time, FLOPs, hardware and plots."""
