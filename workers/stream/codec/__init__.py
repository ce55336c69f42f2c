"""Records to messages or rejections (`decode*.py`, `fields/`), and answers to bytes (`encoding/`)."""
