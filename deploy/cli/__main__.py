"""`python -m labelstream.deploy.cli`: the same command, where it is not installed."""

from labelstream.deploy.cli.main import main

main()
