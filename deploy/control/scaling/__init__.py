"""How many replicas of each model and workers of each pipeline there are to be: readings -> estimate -> policy."""
