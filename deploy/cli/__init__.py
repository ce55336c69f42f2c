"""The command `labelstream`: one folder for each group of commands."""
