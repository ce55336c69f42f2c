"""The page: HTML, CSS and scripts for a browser, and the numbers that it shows as server-sent events."""
