"""What the stages of an application did, as a table for people.

`StageLog` listens while jobs run; its table is read when they are done. Must not print: its reader does.
"""

from collections.abc import Iterable, Sequence

from minispark.messages.listener import ListenerEvent, StageCompleted, StageInfo

__all__ = ["StageLog", "human_bytes", "human_seconds", "stage_table"]

HEADER = ("stage", "what", "tasks", "time", "shuffle read", "shuffle write")
LEFT_ALIGNED = 1  # the column of names; all others are figures
NAME_WIDTH = 44
SIZE_UNITS = ("KiB", "MiB", "GiB", "TiB")


class StageLog:
    """A listener that keeps the stages that ended, in the order in which they did."""

    def __init__(self) -> None:
        self.stages: list[StageInfo] = []

    def on_event(self, event: ListenerEvent) -> None:
        """Keep a stage that ended."""
        if isinstance(event, StageCompleted):
            self.stages.append(event.stage)

    def table(self) -> str:
        """Return one line per attempt of a stage: tasks, time, bytes of its shuffles."""
        rows = [HEADER, *map(row, self.stages)]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = [aligned(cells, widths) for cells in rows]
        return "\n".join([lines[0], "  ".join("─" * width for width in widths), *lines[1:]])


def stage_table(events: Iterable[ListenerEvent]) -> str:
    """Return the table of the stages that ended in a series of events."""
    log = StageLog()
    for event in events:
        log.on_event(event)
    return log.table()


def row(stage: StageInfo) -> tuple[str, ...]:
    """Return the cells of one stage's line."""
    name = stage.name if len(stage.name) <= NAME_WIDTH else stage.name[: NAME_WIDTH - 1] + "…"
    return (
        f"{stage.stage_id}.{stage.attempt}" if stage.attempt else str(stage.stage_id),
        f"{name} (failed)" if stage.failure else name,
        str(stage.num_tasks),
        human_seconds(stage.completed_s - stage.submitted_s),
        human_bytes(stage.metrics.shuffle_read_bytes),
        human_bytes(stage.metrics.shuffle_write_bytes),
    )


def aligned(cells: Sequence[str], widths: Sequence[int]) -> str:
    """Return the cells as one line: names to the left, figures to the right."""
    padded = (
        cell.ljust(width) if column == LEFT_ALIGNED else cell.rjust(width)
        for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
    )
    return "  ".join(padded).rstrip()


def human_bytes(count: int) -> str:
    """Return a size with its unit of 1024: `0 B`, `17.3 KiB`, `1.2 GiB`."""
    if count < 1024:
        return f"{count} B"
    power = next((power for power in (1, 2, 3) if count < 1024 ** (power + 1)), 4)
    return f"{count / 1024**power:.1f} {SIZE_UNITS[power - 1]}"


def human_seconds(seconds: float) -> str:
    """Return a duration: `4 ms`, `1.25 s`, `3 min 20 s`."""
    if seconds < 1:
        return f"{seconds * 1e3:.0f} ms"
    if seconds < 60:
        return f"{seconds:.2f} s"
    return f"{seconds // 60:.0f} min {seconds % 60:.0f} s"
