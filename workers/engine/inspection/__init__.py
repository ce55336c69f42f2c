"""A look at the files of a model that somebody else made, before anything is loaded of them."""
