"""Finds the record that kills workers, and refuses it."""
