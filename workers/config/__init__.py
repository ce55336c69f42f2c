"""What a config file may hold: its keys, its errors in words, its paths and its schema."""
