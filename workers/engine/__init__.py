"""The classifier in one process, and the words all its folders share."""
