"""Runs a model in OpenVINO, after comparing its answers with torch's."""
