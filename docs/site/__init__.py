"""Builds docs/ as a site with mkdocs: the navigation, lists, and links to files outside of docs/."""
