"""Settings of a pipeline for records of other formats: where the parts of a message are."""
