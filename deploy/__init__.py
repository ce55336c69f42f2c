"""Labelstream as a Ray Serve application, with the command `labelstream`."""

import os

# Without this, Ray starts a cluster for any call that finds none, such as a call of a thread that ends late.
os.environ.setdefault("RAY_ENABLE_AUTO_CONNECT", "0")
