"""The worker's process tokenizes and names labels without torch; it starts in a tenth of the time and memory."""

import subprocess
import sys
from pathlib import Path

from tests.models import make_tokenizer

SCRIPT = """
import sys
from workers.classifier import Request
from workers.engine import answers, batcher, description, packed, tasks
model = description.ModelDescription(
    "m", "r", "text-classification", ("a", "b"), description.Activation.SOFTMAX, 32, 2, open(sys.argv[1]).read()
)
prepared = tasks.task_for(model).prepare([Request("good"), Request("g\\u00f6", "pair")])
assert len(prepared.packed.lengths) == 2
loaded = {name.split(".")[0] for name in sys.modules}
print(sorted(loaded & {"torch", "transformers", "ray", "kafka", "huggingface_hub"}))
"""


def test_the_workers_part_runs_without_torch_and_transformers(tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_text(make_tokenizer("bert").backend_tokenizer.to_str())
    command = [sys.executable, "-W", "error", "-c", SCRIPT, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (done.stdout, done.returncode) == ("[]\n", 0), done.stderr


def test_the_package_itself_imports_nothing() -> None:
    import workers.engine

    assert Path(str(workers.engine.__file__)).read_text() == ""
