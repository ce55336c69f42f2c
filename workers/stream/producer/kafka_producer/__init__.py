"""KafkaProducer, and workarounds for its faults."""
