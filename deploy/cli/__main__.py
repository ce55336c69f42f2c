"""`python -m deploy.cli`: the same command, where it is not installed."""

from deploy.cli.main import main

main()
