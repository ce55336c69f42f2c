"""List, show, export and redrive dead letters."""
