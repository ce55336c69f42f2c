"""Records that may have killed earlier workers are found, and then refused."""
