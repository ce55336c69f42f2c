"""The measurements of `labelstream bench`; import them only when needed, because they import torch."""
