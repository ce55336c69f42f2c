"""What every Kafka client needs, and what one may ask a broker."""
