"""Choose each result's topic, produce results and dead letters, and await their acknowledgements."""
