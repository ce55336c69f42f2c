"""Worker supervision: health check, alarms, operator commands and restart backoff."""
