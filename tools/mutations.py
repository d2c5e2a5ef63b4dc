"""Small changes to a module's source, each of which its tests should notice: what `tools.mutants` tries out.

A mutation changes one place of a syntax tree: a comparison is flipped, a condition negated, a number moved by one, a
statement left out. What no test of decisions can notice is left alone: invariant checks, asserts, annotations,
decorators, texts.
"""

import ast
import copy
from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["Mutation", "mutations_of"]

FLIPPED: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip
CHANGED: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult,
}  # fmt: skip
CHECKS = ("check", "__repr__", "assert_")
"""Functions that are not mutated, by the beginning of their name."""


@dataclass(frozen=True)
class Site:
    """A place in a tree and what may stand there instead; `index` if the field is a list."""

    parent: ast.AST
    field: str
    index: int | None
    node: ast.AST
    replacement: ast.AST


@dataclass(frozen=True)
class Mutation:
    """One change.

    Attributes:
        tree: the module as it is, shared by its mutations.
        site: what is changed in it.
    """

    tree: ast.Module
    site: Site

    @property
    def line(self) -> int:
        """Where it is."""
        return getattr(self.site.node, "lineno", 0)

    @property
    def before(self) -> str:
        """The changed piece of source."""
        return short(self.site.node)

    @property
    def after(self) -> str:
        """What it becomes."""
        return short(self.site.replacement)

    def changed(self) -> ast.Module:
        """Return the whole changed module."""
        put(self.site, self.site.replacement)
        changed = copy.deepcopy(self.tree)
        put(self.site, self.site.node)
        return ast.fix_missing_locations(changed)


def mutations_of(source: str) -> list[Mutation]:
    """Return all mutations of a module's source, in the order of its lines."""
    tree = ast.parse(source)
    found = [Mutation(tree, site) for site in sites(tree)]
    for mutation in found:
        ast.copy_location(mutation.site.replacement, mutation.site.node)
    return sorted(found, key=lambda mutation: mutation.line)


def put(site: Site, node: ast.AST) -> None:
    """Let a node stand at a site."""
    if site.index is None:
        setattr(site.parent, site.field, node)
    else:
        getattr(site.parent, site.field)[site.index] = node


def short(node: ast.AST) -> str:
    """Return a node's source in one line."""
    text = " ".join(ast.unparse(node).split())
    return text if len(text) <= 80 else text[:77] + "…"


def sites(node: ast.AST) -> Iterator[Site]:
    """Yield every place below a node that can be mutated."""
    for field, value in ast.iter_fields(node):
        if field in ("annotation", "returns", "decorator_list", "bases", "keywords") and not isinstance(
            node, ast.Call
        ):
            continue
        children = list(enumerate(value)) if isinstance(value, list) else [(None, value)]
        for index, child in children:
            if isinstance(child, ast.AST) and not is_left_alone(child):
                for replacement in replacements(child, node, field):
                    yield Site(node, field, index, child, replacement)
                yield from sites(child)


def is_left_alone(node: ast.AST) -> bool:
    """Tell whether no test of decisions can notice a change of this."""
    match node:
        case ast.Assert() | ast.JoinedStr() | ast.Import() | ast.ImportFrom() | ast.Expr(value=ast.Constant()):
            return True
        case ast.FunctionDef(name=name):
            return name.startswith(CHECKS)
        case ast.Assign(targets=[ast.Name(id=name)]):
            return name.startswith("__")
        case ast.ClassDef(bases=bases):
            return any(isinstance(base, ast.Name) and base.id == "Protocol" for base in bases)
        case _:
            return False


def replacements(node: ast.AST, parent: ast.AST, field: str) -> Iterator[ast.AST]:
    """Yield what may stand instead of a node."""
    match node:
        case ast.Compare(left=left, ops=[op], comparators=comparators) if type(op) in FLIPPED:
            yield ast.Compare(left, [FLIPPED[type(op)]()], comparators)
        case ast.BoolOp(op=op, values=values):
            yield ast.BoolOp(ast.Or() if isinstance(op, ast.And) else ast.And(), values)
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            yield operand
        case ast.BinOp(left=left, op=op, right=right) if type(op) in CHANGED and not is_union(node):
            yield ast.BinOp(left, CHANGED[type(op)](), right)
        case ast.Constant(value=bool() as value):
            yield ast.Constant(not value)
        case ast.Constant(value=int() | float() as value):
            yield ast.Constant(value + 1)
            yield ast.Constant(value - 1)
        case ast.Expr() | ast.AugAssign() | ast.Delete() | ast.Continue() | ast.Break() | ast.Raise():
            yield ast.Pass()
        case ast.Assign(targets=[ast.Attribute() | ast.Subscript()]):
            yield ast.Pass()
    if field == "test" and isinstance(parent, ast.If | ast.While | ast.IfExp) and is_plain_condition(node):
        assert isinstance(node, ast.expr)
        yield ast.UnaryOp(ast.Not(), node)


def is_plain_condition(node: ast.AST) -> bool:
    """Tell whether a condition is not mutated in another way already."""
    return isinstance(node, ast.Name | ast.Attribute | ast.Call)


def is_union(node: ast.BinOp) -> bool:
    """Tell whether an operation has texts in it: those are not computed with."""
    return any(
        isinstance(side, ast.Constant | ast.JoinedStr) and not isinstance(getattr(side, "value", None), int | float)
        for side in (node.left, node.right)
    )
