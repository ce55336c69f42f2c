"""What tests make of models is kept for as long as they run, and nowhere near the user's own."""

import atexit
import os
import shutil
import tempfile

# Read when huggingface_hub is imported; processes that tests start, Ray's and pytest-xdist's among them, inherit it.
if "LABELSTREAM_TEST_ASSETS" not in os.environ:
    _folder = tempfile.mkdtemp(prefix="labelstream-assets-")
    os.environ["LABELSTREAM_TEST_ASSETS"] = os.environ["HF_ASSETS_CACHE"] = _folder
    atexit.register(shutil.rmtree, _folder, ignore_errors=True)
