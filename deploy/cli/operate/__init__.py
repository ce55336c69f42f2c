"""Put a pipeline right: how far it is, and where it goes on."""
