"""The whole application on several Ray nodes of one machine: `make test-cluster`."""
