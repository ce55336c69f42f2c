"""Measurements that anybody can repeat: `make bench`. They assert nothing; machines are noisy."""
