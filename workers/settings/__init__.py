"""The sections of the settings, one module each, and the tree of them all."""
