"""The progress line: what runs, how much of it is done, on a terminal's last line, gone when nothing runs.

The context adds a `ProgressLine` as a listener if `minispark.ui.showConsoleProgress` is on. Must never be the reason
that a script's output, or anything piped, changes: it writes to terminals only.
"""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import TextIO

from minispark.ids import StageId
from minispark.messages.listener import (
    ListenerEvent,
    StageCompleted,
    StageInfo,
    StageSubmitted,
    TaskEnd,
    TaskStart,
)
from minispark.messages.task import Success

__all__ = ["ProgressLine"]

FIRST_AFTER_S = 0.3  # jobs that are over sooner never flicker
INTERVAL_S = 0.1
BAR_WIDTH = 24
NAME_WIDTH = 40
CLEAR = "\r\x1b[K"


@dataclass
class StageProgress:
    """One stage that runs."""

    stage: StageInfo
    begun_s: float
    running: int = 0
    done: int = 0
    failed: int = 0

    def text(self, now_s: float) -> str:
        """Return its bar and counts."""
        total = max(1, self.stage.num_tasks)
        filled = min(BAR_WIDTH, BAR_WIDTH * self.done // total)
        bar = "━" * filled + "╶" * (BAR_WIDTH - filled)
        failed = f", {self.failed} failed" if self.failed else ""
        return (
            f"stage {self.stage.stage_id} {self.stage.name[:NAME_WIDTH]} {bar} {self.done}/{self.stage.num_tasks}, "
            f"{self.running} running{failed}, {now_s - self.begun_s:.0f} s"
        )


class ProgressLine:
    """A listener that draws the oldest stage that runs, and says how many more there are.

    Args:
        stream: a terminal; on anything else nothing is ever written.
        monotonic: a clock, in seconds that never go back (`World.monotonic`).
    """

    def __init__(self, stream: TextIO, monotonic: Callable[[], float]) -> None:
        self.stream = stream
        self.monotonic = monotonic
        self.on_terminal = stream.isatty()
        self.active: dict[StageId, StageProgress] = {}
        self.next_draw_s = 0.0
        self.drawn = False

    def on_event(self, event: ListenerEvent) -> None:
        """Count; draw if the last drawing is old enough."""
        if not self.on_terminal:
            return
        match event:
            case StageSubmitted(stage=stage):
                if not self.active:
                    self.next_draw_s = self.monotonic() + FIRST_AFTER_S
                self.active[stage.stage_id] = StageProgress(stage, self.monotonic())
            case StageCompleted(stage=stage):
                self.active.pop(stage.stage_id, None)
                if not self.active:
                    self.clear()
            case TaskStart(stage_id=stage_id) if stage_id in self.active:
                self.active[stage_id].running += 1
            case TaskEnd(stage_id=stage_id, reason=reason) if stage_id in self.active:
                progress = self.active[stage_id]
                progress.running = max(0, progress.running - 1)
                if isinstance(reason, Success):
                    progress.done += 1
                else:
                    progress.failed += 1
        if self.active and not self.is_between_tasks(event):
            self.draw()

    def is_between_tasks(self, event: ListenerEvent) -> bool:
        """Tell whether a launch will follow at once, so that a drawing would show a slot free that is not."""
        if not isinstance(event, TaskEnd) or event.stage_id not in self.active:
            return False
        progress = self.active[event.stage_id]
        return progress.running > 0 and progress.done + progress.running < progress.stage.num_tasks

    def draw(self) -> None:
        """Draw the line, at most ten times a second."""
        now = self.monotonic()
        if now < self.next_draw_s:
            return
        self.next_draw_s = now + INTERVAL_S
        text = next(iter(self.active.values())).text(now)
        if len(self.active) > 1:
            text += f"  (and {len(self.active) - 1} more)"
        # A line longer than the terminal would wrap, and could not be cleared.
        width = shutil.get_terminal_size().columns - 1
        self.stream.write(CLEAR + text[:width])
        self.stream.flush()
        self.drawn = True

    def clear(self) -> None:
        """Take the line away; also what to call before printing while jobs run."""
        if self.drawn:
            self.stream.write(CLEAR)
            self.stream.flush()
            self.drawn = False
