"""The baselines that Labelstream is compared with."""
