"""`python -m labelstream.deploy.cli`: the command `labelstream` without its script."""

from labelstream.deploy.cli.main import main

main()
