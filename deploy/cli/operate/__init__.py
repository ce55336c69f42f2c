"""Operate a pipeline: show its lag, resume it, skip a corrupt batch, reset its offsets."""
