"""Is the model right: predictions of a labeled data set, their metrics and their comparison; no Kafka, no Ray."""
