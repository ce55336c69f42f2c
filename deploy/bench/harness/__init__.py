"""What every measurement needs: topics, texts, load and the application."""
