"""The demo's model and texts, and the programs that make them."""
