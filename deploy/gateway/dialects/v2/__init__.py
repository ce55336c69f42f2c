"""The Open Inference Protocol V2 of KServe and Triton over REST, with the binary tensor extension."""
