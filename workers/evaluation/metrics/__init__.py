"""Metrics of predictions with bootstrap intervals, by scikit-learn and scipy."""
