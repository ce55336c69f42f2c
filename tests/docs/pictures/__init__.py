"""`make pictures`: the documentation's SVGs, from commands that ran and from measured figures."""
