"""Parts of every measurement: topics, texts, load and the application."""
