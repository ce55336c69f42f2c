"""Find records that kill workers, and turn them into dead letters."""
