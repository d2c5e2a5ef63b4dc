"""Tasks in processes: a pool of runner processes, forked by a zygote; fulfils `runners.RunnerPool`.

What may be said to and believed of a runner is decided in `logic.runner_slot`; this module moves the messages. It
lives on the executor's loop and never waits there. A task's round trip is one frame each way, on the loop's readers.
"""

import asyncio
import contextlib
import logging
import os
import signal
from functools import partial
from typing import Any, Final

from minispark.conf import SparkConf
from minispark.errors import MiniSparkError
from minispark.executor.grace import Grace
from minispark.executor.interpreter import restored_environment
from minispark.executor.logic.runner_slot import Finished, Lost, Ready, Report, Resumed, SlotState
from minispark.executor.runner_link import RunnerLink
from minispark.executor.runner_place import RunnerPlace
from minispark.executor.runners import RunnerEvents
from minispark.executor.session import remove_leavings
from minispark.executor.shared_page import SHARE
from minispark.executor.zygote_client import ZygoteClient, ending
from minispark.executor.zygote_process import ZygoteProcess
from minispark.ids import BlockId, BroadcastId, TaskId
from minispark.messages.runner import (
    AnswerFailed,
    ForgetBroadcasts,
    KillAnswered,
    RunnerAnswer,
    RunnerAsk,
    RunnerExited,
    RunnerReady,
    RunnerReply,
    RunTask,
    StartZygote,
    TaskFinished,
)
from minispark.messages.runner_blocks import DropLiveBlocks
from minispark.messages.task import BlockManagerId, RunnerLost, TaskDescription
from minispark.rpc.logic.frames import BUFFER_SIZE
from minispark.rpc.world import World

__all__ = ["DEFAULT_FACTORY", "ProcessPool"]

logger = logging.getLogger(__name__)

STARTED_AFTER_S: Final = 0.01
RETRY_S: Final = 1.0
LAST_WORDS_S: Final = 2.0
ZYGOTE_END_S: Final = 5.0
DEFAULT_FACTORY: Final = "minispark.executor.task_runner:TaskRunner"
STOPPED: Final = "the executor stops"
PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")


class ProcessPool:
    """A pool of runner processes.

    Args:
        slots: how many.
        conf: the application's settings, which runners get too.
        location: where the executor's blocks are; its `directory` is removed by the zygote when the pool ends.
        world: starts the zygote, keeps time.
        runner_factory: `module:function`, what runs the tasks in a runner; called there with its services.
        zygote: the first zygote's process, if it was started beforehand.
        sys_path: where runners find modules, if not where this process does.
        working_directory: where they are, if not where this process is.
        kept: entries of the session directory that stay, because others serve them; `folder/name` stands for the
            files of a folder that begin like that.
    """

    events: RunnerEvents
    loop: asyncio.AbstractEventLoop

    def __init__(
        self,
        slots: int,
        conf: SparkConf,
        location: BlockManagerId,
        world: World,
        *,
        runner_factory: str = DEFAULT_FACTORY,
        zygote: ZygoteProcess | None = None,
        sys_path: tuple[str, ...] = (),
        working_directory: str = "",
        kept: tuple[str, ...] = (),
    ) -> None:
        self.conf = conf
        self.sys_path = sys_path
        self.working_directory = working_directory
        self.kept = kept
        self.location = location
        self.world = world
        self.runner_factory = runner_factory
        self.places = [RunnerPlace(index, world, self.send_signal) for index in range(slots)]
        self.place_of: dict[int, RunnerPlace] = {}
        self.buffer = bytearray(BUFFER_SIZE)
        self.last_incarnation = 0
        self.ticking = False
        self.stopping = False
        self.first = zygote
        self.zygote: ZygoteClient | None = None
        self.zygote_is_ready = False
        self.starting: asyncio.Future[None] | None = None
        self.quiet: asyncio.Future[None] | None = None

    # -- what the executor calls -------------------------------------------------------------------------------------

    @property
    def slots(self) -> int:
        """How many tasks run at once."""
        return len(self.places)

    async def start(self, events: RunnerEvents) -> None:
        """Start zygote and runners; returns when the first can take a task.

        Raises:
            MiniSparkError: they cannot be started; the text says why.
        """
        self.events = events
        if self.starting is None:
            self.launch()
        assert self.starting is not None
        await self.starting

    def launch(self) -> None:
        """Start the zygote, which goes on by itself while the caller does other things; see `RunnerPool`."""
        self.loop = asyncio.get_running_loop()
        self.starting = self.loop.create_future()
        self.start_zygote()
        for place in self.places:  # the zygote forks as soon as it can, whatever this process is busy with
            self.ask_for_runner(place)

    def run(self, slot: int, task: TaskDescription) -> None:
        """Run an attempt on a slot that is ready; dropped once the pool stops."""
        if self.stopping:
            return
        place = self.places[slot]
        place.task = task
        if place.slot.dispatch(task.task_id):
            assert place.link is not None
            place.link.channel.send(RunTask(place.slot.incarnation, task))
        if not self.ticking:
            self.ticking = True
            self.world.call_later(STARTED_AFTER_S, self.tick)

    def kill(self, slot: int, task_id: TaskId, interrupt: bool, reason: str) -> None:
        """End an attempt; see `RunnerPool.kill`."""
        self.places[slot].kill(task_id, interrupt, reason, Grace.of(self.conf))

    def answer(self, slot: int, ask_id: int, answer: RunnerReply | AnswerFailed) -> None:
        """Answer a runner's question; dropped if the asker is gone."""
        place = self.places[slot]
        if ask_id in place.asks and place.link is not None:
            place.asks.remove(ask_id)
            place.link.send(RunnerAnswer(place.slot.incarnation, ask_id, answer))

    def drop_blocks(self, slot: int, block_ids: tuple[BlockId, ...]) -> None:
        """Have a runner let go of objects; see `RunnerPool`."""
        place = self.places[slot]
        if place.link is not None:
            place.link.send(DropLiveBlocks(place.slot.incarnation, block_ids))

    def private_bytes(self, slot: int) -> int | None:
        """Return how much memory a slot's runner holds for itself; see `RunnerPool`."""
        link = self.places[slot].link
        return None if link is None or link.pid is None else private_bytes(link.pid)

    def discard_runner(self, slot: int, task_id: TaskId | None) -> None:
        """End the slot's runner at once; see `RunnerPool`."""
        self.places[slot].discard(task_id)

    async def stop(self, deadline_s: float) -> None:
        """Kill what runs, end all runners, leave nothing behind; SIGKILL after the deadline."""
        if self.zygote is None:
            self.kill_all()
            return
        if not self.stopping:
            self.stopping = True
            await self.wait_until_quiet(deadline_s)
        for place in self.places:  # also for a second caller, who does not want to wait
            self.abandon(place)
        guard = self.world.call_later(ZYGOTE_END_S, self.zygote.kill)
        self.zygote.close()
        await asyncio.shield(self.zygote.gone)
        guard.cancel()

    def kill_all(self) -> None:
        """End all runners at once, without the loop: they go with their parent."""
        self.stopping = True
        for place in self.places:
            if place.link is not None:
                place.link.close()
        if self.zygote is not None:
            self.zygote.abandon()
        if self.first is not None:
            self.first.abandon()
            self.first = None

    def forget_broadcasts(self, broadcast_ids: tuple[BroadcastId, ...]) -> None:
        """Tell all runners; one that starts later knows none of them."""
        for place in self.places:
            if place.link is not None:
                place.link.send(ForgetBroadcasts(broadcast_ids))

    def counters(self, slot: int) -> dict[str, int] | None:
        """Return how far the slot's attempt is, by counter (see `shared_page.COUNTERS`); None if nothing runs."""
        place = self.places[slot]
        task_id = place.slot.task_id
        return place.link.page.counters(task_id) if place.link is not None and task_id is not None else None

    def held_bytes(self) -> int:
        """Return what the containers of all attempts hold, as far as they have told."""
        return sum(place.link.page.held_bytes for place in self.places if place.link is not None)

    def share_memory(self, share_bytes: int) -> None:
        """Say what the containers of each attempt may hold from now on."""
        for place in self.places:
            if place.link is not None:
                place.link.page.words[SHARE] = share_bytes

    # -- the zygote --------------------------------------------------------------------------------------------------

    def start_zygote(self) -> None:
        """Start a zygote, the first or the next."""
        if self.stopping:
            return
        conf = self.conf
        environment, unset = restored_environment(os.environ)
        if "OMP_NUM_THREADS" not in os.environ:  # a runner has one core; numpy would start a thread for each there is
            environment["OMP_NUM_THREADS"] = str(conf.task_cpus)
        preload = tuple(name.strip() for name in conf.executor_preload.split(",") if name.strip())
        start = StartZygote(
            environment, unset, preload, self.runner_factory, dict(conf.texts), self.location,
            self.location.directory, self.sys_path, self.working_directory, self.kept,
        )  # fmt: skip
        self.zygote_is_ready = False
        process, self.first = self.first or ZygoteProcess.spawn(self.world), None
        self.zygote = ZygoteClient(self.loop, self, process)
        self.zygote.send(start)

    def zygote_ready(self) -> None:
        """Fill all slots; see `ZygoteEvents`."""
        self.zygote_is_ready = True
        for place in self.places:
            self.fill(place)

    def runner_forked(self, incarnation: int, pid: int) -> None:
        """Note a runner's process id; see `ZygoteEvents`."""
        place = self.place_of.get(incarnation)
        if place is not None and place.link is not None:
            place.link.pid = pid

    def runner_exited(self, exited: RunnerExited) -> None:
        """Replace a runner; see `ZygoteEvents`."""
        place = self.place_of.get(exited.incarnation)
        if place is not None:
            self.bury(place, RunnerLost(exited.exit_code, exited.signal, loss_text(exited)))

    def zygote_gone(self, reason: str) -> None:
        """Take all runners for lost, and start another zygote; see `ZygoteEvents`."""
        if self.stopping or self.fail_start(reason):
            return
        logger.warning("%s; its runners are replaced", reason)
        retry_s = 0.0 if self.zygote_is_ready else RETRY_S
        self.zygote_is_ready = False
        for place in self.places:
            if place.link is not None and place.link.pid is not None:
                with contextlib.suppress(OSError):  # the runners died with their parent; what they started did not
                    os.killpg(place.link.pid, signal.SIGKILL)
            self.bury(place, RunnerLost(None, signal.SIGKILL, f"{reason}, and its runners with it"))
        self.world.call_later(retry_s, self.restart_zygote)

    def restart_zygote(self) -> None:
        """Start the next zygote, or try again later."""
        try:
            self.start_zygote()
        except MiniSparkError as error:
            logger.warning("%s; it is tried again in %g s", error, RETRY_S)
            self.world.call_later(RETRY_S, self.restart_zygote)

    def fail_start(self, reason: str) -> bool:
        """Let `start` fail, if it still waits."""
        if self.starting is None or self.starting.done():
            return False
        self.starting.set_exception(MiniSparkError(f"the runner processes cannot be started: {reason}"))
        self.starting.exception()  # seen, even if whoever launched the pool gave up before it started it
        return True

    # -- runners -----------------------------------------------------------------------------------------------------

    def fill(self, place: RunnerPlace) -> None:
        """Ask for a runner for an empty slot; without a zygote, the next one is asked."""
        if not self.stopping and self.zygote_is_ready and place.slot.state is SlotState.EMPTY:
            self.ask_for_runner(place)

    def ask_for_runner(self, place: RunnerPlace) -> None:
        """Ask the zygote for a runner for an empty slot."""
        assert self.zygote is not None
        self.last_incarnation += 1
        incarnation = self.last_incarnation
        try:
            link = RunnerLink(
                self.world, self.loop, incarnation, self.conf.rpc_message_max_size, self.buffer,
                partial(self.on_message, place, incarnation), partial(self.on_end, place, incarnation),
            )  # fmt: skip
        except OSError as error:
            if not self.fail_start(str(error)):
                logger.warning("no runner can be started: %s; it is tried again in %g s", error, RETRY_S)
                self.world.call_later(RETRY_S, self.fill, place)
            return
        place.link = link
        place.slot.start(incarnation)
        self.place_of[incarnation] = place
        self.zygote.fork(incarnation, link.take_fds())

    def on_message(self, place: RunnerPlace, incarnation: int, message: Any) -> None:
        """Take what a runner says; see `messages.runner.FromRunner`."""
        slot = place.slot
        if message.__class__ is TaskFinished:  # first, because it is the most frequent by far
            self.report(place, slot.finished(incarnation, message.task_id, message.outcome))
        elif message.__class__ is RunnerAsk:
            if incarnation == slot.incarnation and message.task_id == slot.task_id:
                place.asks.add(message.ask_id)
                self.events.runner_asked(place.index, message.task_id, message.ask_id, message.request)
        elif message.__class__ is KillAnswered:
            self.report(place, slot.answered(incarnation, message.task_id))
        elif message.__class__ is RunnerReady:
            self.runner_forked(incarnation, message.pid)
            self.report(place, slot.ready(incarnation))
            if self.starting is not None and not self.starting.done():
                self.starting.set_result(None)

    def on_end(self, place: RunnerPlace, incarnation: int, reason: str) -> None:
        """See that a runner that talks no more ends; one that is ending by itself has a moment to say why."""
        if place.slot.doom(incarnation):
            logger.debug("runner %d: %s", incarnation, reason)
            self.world.call_later(LAST_WORDS_S, self.send_signal, incarnation, signal.SIGKILL)

    def bury(self, place: RunnerPlace, loss: RunnerLost) -> None:
        """Take note that a slot's runner is gone, after all that it said, and replace it."""
        link, slot = place.link, place.slot
        if link is None:
            return
        slot.doom(link.incarnation)
        link.drain()
        begun = link.page.begun == slot.task_id
        if begun and slot.task_id is not None and slot.outcome is None:
            self.world.start_thread(remove_leavings, self.location.directory, slot.task_id, name="minispark-leavings")
        report = slot.exited(link.incarnation, loss, begun)
        del self.place_of[link.incarnation]
        place.close()
        if self.stopping:
            self.report(place, report or slot.give_up(STOPPED))
            return
        self.report(place, report)
        if slot.was_ready:
            self.fill(place)
        elif not self.fail_start(loss.text):
            logger.warning("a runner died before it was ready: %s; the next is tried in %g s", loss.text, RETRY_S)
            self.world.call_later(RETRY_S, self.fill, place)

    def report(self, place: RunnerPlace, report: Report | None) -> None:
        """Tell the executor what became of a slot."""
        match report:
            case Finished():
                place.clear()
                self.events.task_finished(place.index, report.task_id, report.outcome)
            case Lost():
                place.clear()
                self.events.runner_lost(place.index, report.task_id, report.loss)
            case Resumed():
                assert place.link is not None
                assert place.task is not None
                place.link.send(RunTask(place.slot.incarnation, place.task))
            case Ready():
                self.events.runner_ready(place.index)
        if self.stopping and not self.busy():
            self.be_quiet()

    def tick(self) -> None:
        """Report the attempts that have run since the last tick, and look again while there are younger ones."""
        younger = False
        for place in self.places:
            longer = place.runs_longer()
            if longer:
                assert place.slot.task_id is not None
                self.events.task_started(place.index, place.slot.task_id)
            younger = younger or longer is None
        self.ticking = younger
        if younger:
            self.world.call_later(STARTED_AFTER_S, self.tick)

    def send_signal(self, incarnation: int, number: int) -> None:
        """Have the zygote send a signal: only it knows for certain whose a process id still is."""
        if self.zygote is not None:
            self.zygote.signal(incarnation, number)

    # -- stop --------------------------------------------------------------------------------------------------------

    def busy(self) -> list[RunnerPlace]:
        """Return the places whose attempt has not been reported."""
        return [place for place in self.places if place.busy]

    async def wait_until_quiet(self, deadline_s: float) -> None:
        """Kill all attempts; return when they are reported, or at the deadline."""
        self.fail_start(STOPPED)
        busy = self.busy()
        if not busy:
            return
        self.quiet = self.loop.create_future()
        deadline = self.world.call_later(deadline_s, self.be_quiet)
        for place in busy:
            if place.slot.state is SlotState.EMPTY or place.slot.task_id is None:
                self.report(place, place.slot.give_up(STOPPED))
            else:
                place.kill(place.slot.task_id, True, STOPPED, Grace(self.conf.executor_kill_grace))
        try:
            await self.quiet
        finally:
            deadline.cancel()

    def be_quiet(self) -> None:
        """Wait no longer."""
        if self.quiet is not None and not self.quiet.done():
            self.quiet.set_result(None)

    def abandon(self, place: RunnerPlace) -> None:
        """Close a slot for good; an attempt that is still in it is reported killed."""
        if place.link is not None:
            self.place_of.pop(place.link.incarnation, None)
        place.close()
        self.report(place, place.slot.give_up(STOPPED))


def private_bytes(pid: int) -> int | None:
    """Return how much memory a process holds that is not files or shared memory; None if it is gone."""
    try:
        with open(f"/proc/{pid}/statm", "rb", buffering=0) as file:
            _, resident, shared, *_ = file.read().split()
    except OSError:
        return None
    return (int(resident) - int(shared)) * PAGE_BYTES


def loss_text(exited: RunnerExited) -> str:
    """Say in words how a runner ended, and give what it wrote last."""
    if exited.exit_code is None and not exited.signal:
        return exited.text
    text = f"the runner process {ending(-exited.signal if exited.exit_code is None else exited.exit_code)}"
    if exited.signal == signal.SIGKILL:
        text += " (the kernel does that when memory runs out)"
    return f"{text}\n{exited.text}" if exited.text else text
