"""Builds docs/ as a site with mkdocs: the navigation, and links to files outside of docs/."""
