"""Labelstream as a Ray Serve application, and the command that runs it."""

import os

# Ray would start a cluster of its own for any call that comes while there is none, as in a thread that is late to end.
os.environ.setdefault("RAY_ENABLE_AUTO_CONNECT", "0")
