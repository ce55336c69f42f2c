"""Classify in this process, and manage the models on this machine."""
