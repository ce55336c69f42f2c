"""The command `labelstream`: one file per command, `main` puts them together."""
