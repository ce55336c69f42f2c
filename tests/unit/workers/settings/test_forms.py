"""The forms: each pattern of the settings has words for errors."""

import json
import re

from labelstream.workers.settings.application import Settings
from labelstream.workers.settings.forms import FORMS


def test_no_error_shows_a_regular_expression() -> None:
    patterns = re.findall(r'"pattern": ("(?:[^"\\]|\\.)*")', json.dumps(Settings.model_json_schema()))
    assert len(patterns) > 4
    assert {json.loads(pattern) for pattern in patterns} <= FORMS.keys()
