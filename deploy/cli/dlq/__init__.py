"""Dead letters: list, show, export, redrive."""
