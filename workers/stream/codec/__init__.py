"""Records to messages, or to rejections with a reason (`decode*.py`, `fields/`), and answers to bytes (`encoding/`)."""
