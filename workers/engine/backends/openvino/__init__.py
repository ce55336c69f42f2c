"""The model in OpenVINO, compared with torch before it answers."""
