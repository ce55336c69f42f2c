"""What comes in, what goes out and what is refused: the payloads, as pydantic models."""
