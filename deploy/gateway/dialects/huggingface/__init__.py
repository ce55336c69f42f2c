"""Hugging Face's Inference API, for the client `huggingface_hub.InferenceClient`."""
