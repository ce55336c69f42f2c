"""Types of values in the help texts: as in the reference, and none for flags.

typer shows Python's types, even of a flag: `--json <bool>`.
"""

from typing import Any

from typer.core import TyperArgument, TyperOption

NAMES = {"int": "NUMBER", "int range": "NUMBER", "float": "NUMBER", "float range": "NUMBER", "path": "FILE"}
_display_type = TyperOption.display_type_rich


def set_value_types() -> None:
    """Change the help of all commands of this process."""
    TyperOption.display_type_rich = _of_option
    TyperArgument.display_type_rich = _of_argument


def _of_option(self: TyperOption, ctx: Any) -> str | None:
    shown = None if self.is_flag else _display_type(self, ctx)
    return NAMES.get(shown.strip("<>"), shown) if shown else None


def _of_argument(self: TyperArgument, ctx: Any) -> str | None:
    """The choices alone: the argument's name says the rest."""
    shown = self.display_type(ctx)
    return shown if shown and "|" in shown else None
