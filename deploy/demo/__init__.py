"""The demo's model and messages, and how the model is made."""
