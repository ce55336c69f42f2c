"""How much may be under way, and when to stop."""
