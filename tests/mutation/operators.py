"""Makes all mutants of a module, each with one small change of its logic. Texts of errors and logs do not change.

The operators are the usual ones (comparison, logic, arithmetic, constants, negated conditions, deleted statements), and
common mistakes in Python and numpy: missing keywords, bounds of slices, min for max.
"""

import ast
from collections.abc import Callable, Iterator
from typing import NamedTuple

_COMPARISONS: dict[type[ast.cmpop], str] = {
    ast.Lt: "<=",
    ast.LtE: "<",
    ast.Gt: ">=",
    ast.GtE: ">",
    ast.Eq: "!=",
    ast.NotEq: "==",
    ast.Is: "is not",
    ast.IsNot: "is",
    ast.In: "not in",
    ast.NotIn: "in",
}
_SIGNS: dict[type[ast.cmpop], str] = {
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
    ast.Eq: "==",
    ast.NotEq: "!=",
    ast.Is: "is",
    ast.IsNot: "is not",
    ast.In: "in",
    ast.NotIn: "not in",
}
_ARITHMETIC: dict[type[ast.operator], str] = {
    ast.Add: "-",
    ast.Sub: "+",
    ast.Mult: "//",
    ast.FloorDiv: "*",
    ast.Div: "*",
    ast.Mod: "*",
    ast.BitAnd: "|",
    ast.BitOr: "&",
}
_NAMES = {"min": "max", "max": "min", "any": "all", "all": "any", "minimum": "maximum", "maximum": "minimum"}
_MESSAGES = ("logger", "log", "warning", "info", "ModelError", "ValueError", "RecordError", "super")


class Mutant(NamedTuple):
    """`line`: of the change, from 1. `was`, `now`: the changed text. `source`: the whole module with it."""

    line: int
    was: str
    now: str
    source: str

    @property
    def name(self) -> str:
        """The change in short."""
        return f"{' '.join(self.was.split())} -> {' '.join(self.now.split())}"


def mutants_of(source: str) -> list[Mutant]:
    """In the order of their lines; none twice."""
    found: dict[tuple[int, int, str], Mutant] = {}
    starts = [0]
    for text in source.encode().splitlines(keepends=True):
        starts.append(starts[-1] + len(text))
    raw = source.encode()
    for node, now in _changes(ast.parse(source)):
        first = starts[node.lineno - 1] + node.col_offset
        last = starts[node.end_lineno - 1] + node.end_col_offset  # type: ignore[operator]
        was = raw[first:last].decode()
        if now not in (was, ast.unparse(node)):
            whole = (raw[:first] + now.encode() + raw[last:]).decode()
            found.setdefault((first, last, now), Mutant(node.lineno, was, now, whole))
    return [found[key] for key in sorted(found)]


def _changes(tree: ast.Module) -> Iterator[tuple[ast.stmt | ast.expr, str]]:
    pending: list[ast.AST] = [tree]
    while pending:
        node = pending.pop()
        if _is_left_alone(node):
            continue
        if isinstance(node, (ast.If, ast.While, ast.IfExp)) and not _is_changed_itself(node.test):
            yield node.test, f"(not ({ast.unparse(node.test)}))"
        for operator in _OPERATORS.get(type(node), ()):
            for now in operator(node):
                yield node, now  # type: ignore[misc]
        types = [getattr(node, name, None) for name in ("annotation", "returns")]
        pending += [child for child in ast.iter_child_nodes(node) if child not in types]


def _is_left_alone(node: ast.AST) -> bool:
    """Nodes without mutants: types, imports, asserts (`strict` of zip is one), and arguments of messages."""
    if isinstance(node, ast.keyword):
        return node.arg == "strict"
    if isinstance(node, ast.Call):
        called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        return called in _MESSAGES
    return isinstance(node, (ast.Import, ast.ImportFrom, ast.Assert, ast.JoinedStr, ast.arg))


def _compare(node: ast.Compare) -> Iterator[str]:
    for i, operator in enumerate(node.ops):
        signs = [_SIGNS[type(one)] for one in node.ops]
        signs[i] = _COMPARISONS[type(operator)]
        parts = [_operand(node.left)]
        for sign, right in zip(signs, node.comparators, strict=True):
            parts += (sign, _operand(right))
        yield " ".join(parts)


def _operand(node: ast.expr) -> str:
    text = ast.unparse(node)
    return f"({text})" if isinstance(node, (ast.BoolOp, ast.Compare, ast.IfExp, ast.NamedExpr)) else text


def _logic(node: ast.BoolOp) -> Iterator[str]:
    other = " or " if isinstance(node.op, ast.And) else " and "
    yield f"({other.join(_operand(value) for value in node.values)})"
    for left_out in range(len(node.values)):
        rest = [_operand(value) for i, value in enumerate(node.values) if i != left_out]
        yield f"({(' and ' if isinstance(node.op, ast.And) else ' or ').join(rest)})"


def _arithmetic(node: ast.BinOp) -> Iterator[str]:
    sign = _ARITHMETIC.get(type(node.op))
    if sign is not None and not any(isinstance(side, (ast.JoinedStr, ast.List)) for side in (node.left, node.right)):
        yield f"(({ast.unparse(node.left)}) {sign} ({ast.unparse(node.right)}))"


def _unary(node: ast.UnaryOp) -> Iterator[str]:
    # The last of two axes is the second as well; -1 as a number is changed by `_constant`.
    if not (isinstance(node.operand, ast.Constant) and node.operand.value == 1):
        yield f"({ast.unparse(node.operand)})"


def _constant(node: ast.Constant) -> Iterator[str]:
    if isinstance(node.value, bool):
        yield str(not node.value)
    elif isinstance(node.value, int):
        yield str(node.value + 1)
        if node.value:
            yield str(node.value - 1)
    elif isinstance(node.value, float):
        yield repr(node.value * 2 + 0.25)


def _is_changed_itself(test: ast.expr) -> bool:
    return isinstance(test, ast.Compare) or (isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not))


def _call(node: ast.Call) -> Iterator[str]:
    for left_out, keyword in enumerate(node.keywords):
        if keyword.arg == "strict":
            continue
        keywords = [one for i, one in enumerate(node.keywords) if i != left_out]
        yield ast.unparse(ast.Call(node.func, node.args, keywords))


def _name(node: ast.Name | ast.Attribute) -> Iterator[str]:
    name = node.attr if isinstance(node, ast.Attribute) else node.id
    if name in _NAMES and isinstance(node.ctx, ast.Load):
        yield ast.unparse(node)[: -len(name)] + _NAMES[name]


def _subscript(node: ast.Subscript) -> Iterator[str]:
    if isinstance(node.slice, ast.Slice) and isinstance(node.ctx, ast.Load):
        for lower, upper in ((None, node.slice.upper), (node.slice.lower, None)):
            yield ast.unparse(ast.Subscript(node.value, ast.Slice(lower, upper, node.slice.step), node.ctx))


def _deleted(node: ast.stmt) -> Iterator[str]:
    if isinstance(node, ast.Expr) and isinstance(node.value, (ast.Constant, ast.Yield)):
        return  # a docstring
    yield "pass"


def _assigned(node: ast.Assign) -> Iterator[str]:
    if any(isinstance(target, (ast.Attribute, ast.Subscript)) for target in node.targets):
        yield "pass"


def _augmented(node: ast.AugAssign) -> Iterator[str]:
    yield "pass"
    sign = _ARITHMETIC.get(type(node.op))
    if sign in ("+", "-", "|", "&") and not isinstance(node.value, (ast.Tuple, ast.List, ast.IfExp)):
        yield f"{ast.unparse(node.target)} {sign}= {ast.unparse(node.value)}"


_OPERATORS: dict[type[ast.AST], tuple[Callable[..., Iterator[str]], ...]] = {
    ast.Compare: (_compare,),
    ast.BoolOp: (_logic,),
    ast.BinOp: (_arithmetic,),
    ast.UnaryOp: (_unary,),
    ast.Constant: (_constant,),
    ast.Call: (_call,),
    ast.Name: (_name,),
    ast.Attribute: (_name,),
    ast.Subscript: (_subscript,),
    ast.Expr: (_deleted,),
    ast.Raise: (_deleted,),
    ast.Continue: (_deleted,),
    ast.Break: (_deleted,),
    ast.Assign: (_assigned,),
    ast.AugAssign: (_augmented,),
}
