"""Text to ids, exactly as transformers."""
