"""How throughput grows with replicas, what each part costs per message, and what follows for larger systems."""
