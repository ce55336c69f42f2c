"""The documentation, and what builds and generates it; no product package imports from here."""
