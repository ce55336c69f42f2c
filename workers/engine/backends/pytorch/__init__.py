"""The model in torch, and what makes it faster."""
