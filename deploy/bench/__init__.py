"""What `labelstream bench` measures; to be imported only when it is asked for, as it imports torch."""
