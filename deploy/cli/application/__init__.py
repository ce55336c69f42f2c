"""Check, run, watch and operate pipelines."""
