"""A page's blocks, with what the comments before them say."""

from pathlib import Path

from tests.docs.blocks import blocks

PAGE = """\
Text.

<!-- typed: y -->
```console
$ first
printed
$ second |
> more
```

<!-- stop: labelstream run -->

   <!-- needs: kubernetes -->
   ```
   helm install x \\
     --set y=1
   make demo   # remark
   ```

```
log line
```
"""


def test_blocks_have_their_commands_outputs_and_marks(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(PAGE)
    first, stop, indented, other = blocks(page)
    assert (first.language, first.marks, first.place) == ("console", {"typed": "y"}, "page.md:4")
    assert first.commands == [("first", ["printed"]), ("second |\nmore", [])]
    assert (stop.language, stop.marks) == ("", {"stop": "labelstream run"})
    assert (indented.language, indented.marks) == ("sh", {"needs": "kubernetes"})
    assert [command.text for command in indented.commands] == ["helm install x \\\n  --set y=1", "make demo   # remark"]
    assert other.language == ""
