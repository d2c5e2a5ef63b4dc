"""`RDD.to_debug_string`: a lineage as text, for people. A part of `rdd.RDD`. Source: toDebugString of Spark's RDD."""

from typing import Any, TypeVar

from minispark.rdd.dependency import ShuffleDependency
from minispark.rdd.face import Face
from minispark.rdd.node import Node

__all__ = ["DebugMethods"]

T_co = TypeVar("T_co", covariant=True)


class DebugMethods(Face[T_co]):
    """to_debug_string."""

    def to_debug_string(self) -> str:
        """Return the RDD and what it is made of, a line each; a shuffle begins a new block, further in.

        The number in parentheses is that of the partitions; finding out may list files. An RDD that hangs on this one
        in several ways is shown once.
        """
        lines: list[str] = []
        shown: set[int] = set()
        # (node, how far in, whether it begins a block); a stack, for lineages may be long.
        pending: list[tuple[Node[Any], str, bool]] = [(self.node, "", True)]
        while pending:
            node, margin, begins = pending.pop()
            prefix = f"({len(node.partitions())}) " if begins else " |  "
            lead = f"{margin}+-" if begins and margin else margin
            again = node.rdd_id in shown
            lines.append(f"{lead}{prefix}{describe(node)}{' (see above)' if again and node.dependencies else ''}")
            if again:
                continue
            shown.add(node.rdd_id)
            for dependency in reversed(node.dependencies):
                is_shuffle = isinstance(dependency, ShuffleDependency)
                inner = f"{margin} |  " if is_shuffle else margin
                pending.append((dependency.node, inner if is_shuffle else continued(margin, begins), is_shuffle))
        return "\n".join(lines)


def continued(margin: str, begins: bool) -> str:
    """Return the margin of a line that goes on with a block."""
    return f"{margin}  " if begins and margin else margin


def describe(node: Node[Any]) -> str:
    """Return a node's line."""
    kept = f" [{node.storage_level}]" if node.is_cached else ""
    mark = " [to be checkpointed]" if node.checkpoint is not None else ""
    return f"{node!r}{kept}{mark}"
