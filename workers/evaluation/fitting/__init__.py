"""Chooses a temperature and thresholds on one half of the labeled texts, and judges them on the other half."""
