"""The documentation's commands, run from its pages, and its pictures, made of real runs."""
