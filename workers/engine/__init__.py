"""The classifier in one process, and the types that all of its folders share."""
