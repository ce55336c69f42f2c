"""The requests and answers of existing HTTP clients, one module or folder for each dialect."""
