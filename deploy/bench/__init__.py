"""The measurements of `labelstream bench`, imported only when needed because they import torch."""
