"""Judges a model on labeled texts by metrics, comparisons, thresholds and reports, without Kafka or Ray."""
