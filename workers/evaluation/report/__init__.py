"""Writes one HTML file about a model's predictions, with plots and without content from elsewhere."""
