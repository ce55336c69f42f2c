"""Judges a model on labeled texts: metrics, comparisons, thresholds and reports; no Kafka, no Ray."""
