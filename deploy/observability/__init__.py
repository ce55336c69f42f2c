"""Logs, spans, metrics and the dashboard."""
