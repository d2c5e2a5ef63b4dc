"""`minispark shell`: a prompt with a SparkContext `sc`, where `await` works at the top level.

The prompt is in the main thread, so that line editing and Ctrl-C are as in Python's own; the event loop, the context
and every statement that is typed run in a thread beside it. Ctrl-C while a statement runs cancels it, and with it its
job.
"""

import ast
import asyncio
import builtins
import code
import concurrent.futures
import ctypes
import inspect
import signal
import sys
import threading
import traceback
import types
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import click

from minispark import __version__
from minispark.cli.daemon import log_to_stderr
from minispark.cli.exits import one_line_errors
from minispark.cli.settings import settings_options, settle
from minispark.conf import SparkConf
from minispark.context import SparkContext

__all__ = ["Console", "LoopThread", "shell"]


@click.command(short_help="Open a prompt with a SparkContext `sc` and `await`.")
@click.option("--master", metavar="URL", help="local[N], or minispark://host:7077 of a cluster.")
@click.option("--name", help="The application's name.")
@click.option("--verbose", is_flag=True, help="Log every message to stderr.")
@settings_options
def shell(
    master: str | None, name: str | None, conf_pairs: tuple[str, ...], properties_file: Path | None, *, verbose: bool
) -> None:
    """Open a prompt with a SparkContext `sc`; `await` works, Ctrl-C cancels what runs, Ctrl-D ends.

    \b
    minispark shell --master minispark://alpha:7077
    >>> await sc.parallelize(range(1000)).map(lambda n: n * n).sum()
    332833500
    """
    with one_line_errors("shell"):
        settings = {"minispark.master": master, "minispark.app.name": name or "minispark shell"}
        conf = settle(settings, conf_pairs, properties_file)
        log_to_stderr(verbose=verbose)
        talk(conf)


def talk(conf: SparkConf) -> None:
    """Start a context, prompt until the end of input, stop."""
    module = types.ModuleType("__main__", "What is typed at the prompt.")
    # What is defined at the prompt is pickled as any program's: by the name __main__, where tasks find it.
    sys.modules["__main__"] = module
    with LoopThread() as loop:
        context: SparkContext = loop.run(lambda: SparkContext(conf=conf).start())
        try:
            vars(module).update(sc=context, asyncio=asyncio, __builtins__=builtins)
            complete_names(vars(module))
            Console(vars(module), loop).interact(
                f"minispark {__version__}, Python {sys.version.split()[0]}: `sc` is a SparkContext on "
                f"{conf.master}; `await` works here",
                exitmsg="",
            )
        finally:
            loop.run(context.stop)


def complete_names(names: dict[str, Any]) -> None:
    """Complete names with the tab key, where there is a terminal and Python has readline."""
    if sys.stdin.isatty():
        try:
            readline, completer = import_module("readline"), import_module("rlcompleter")
        except ImportError:
            return
        readline.set_completer(completer.Completer(names).complete)
        readline.parse_and_bind("tab: complete")


class LoopThread:
    """An event loop in a thread of its own, used with `with`."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, name="loop", daemon=True)
        self.task: asyncio.Task[Any] | None = None
        self.lock = threading.RLock()  # a second Ctrl-C may come while the first is seen to
        self.is_interrupted = False  # before the statement began
        self.in_user_code = False

    def __enter__(self) -> "LoopThread":
        self.thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()

    def run(self, function: Callable[[], Any]) -> Any:
        """Call a function on the loop and, if it returns a coroutine, await that; Ctrl-C cancels either.

        Raises:
            KeyboardInterrupt: it was cancelled by Ctrl-C.
        """
        done: concurrent.futures.Future[Any] = concurrent.futures.Future()
        # Not the usual KeyboardInterrupt: raised here before the wait below, it would leave the statement running.
        before = signal.signal(signal.SIGINT, lambda number, frame: self.interrupt())
        try:
            self.loop.call_soon_threadsafe(self.start, function, done)
            return done.result()
        except concurrent.futures.CancelledError:
            raise KeyboardInterrupt from None
        finally:
            signal.signal(signal.SIGINT, before)
            self.is_interrupted = False  # one that came when all was done is for nobody

    def start(self, function: Callable[[], Any], done: concurrent.futures.Future[Any]) -> None:
        """Call the function; on the loop."""
        try:
            self.refuse_if_interrupted()
            outcome = self.bracketed(function)
        except BaseException as error:  # noqa: BLE001 — whatever the user's code raises goes to the prompt
            self.in_user_code = False
            done.set_exception(error)
            return
        if not inspect.iscoroutine(outcome):
            done.set_result(outcome)
            return
        self.task = self.loop.create_task(outcome)
        self.task.add_done_callback(lambda task: settle_with(task, done))

    def refuse_if_interrupted(self) -> None:
        """Forget what ran before; raise if Ctrl-C came between the statement's entry and its start."""
        with self.lock:
            self.task = None
            was, self.is_interrupted = self.is_interrupted, False
        if was:
            raise KeyboardInterrupt

    def bracketed(self, function: Callable[[], Any]) -> Any:
        """Call code of the user's, which may be interrupted by an exception from outside while it runs."""
        with self.lock:
            self.in_user_code = True
        try:
            return function()
        finally:
            with self.lock:
                self.in_user_code = False
                raise_in(self.thread, None)  # one that came too late must not hit the loop

    def interrupt(self) -> None:
        """Cancel the statement that runs: a coroutine at its await, other code at its next instruction."""
        with self.lock:
            if self.in_user_code:
                raise_in(self.thread, KeyboardInterrupt)
            elif self.task is None or self.task.done():
                self.is_interrupted = True
            else:
                self.loop.call_soon_threadsafe(self.task.cancel)


def settle_with(task: "asyncio.Task[Any]", done: "concurrent.futures.Future[Any]") -> None:
    """Give a task's outcome to the thread that waits for it."""
    if task.cancelled():
        done.cancel()
    elif (error := task.exception()) is not None:
        done.set_exception(error)
    else:
        done.set_result(task.result())


def raise_in(thread: threading.Thread, error: type[BaseException] | None) -> None:
    """Raise in another thread at its next instruction; None takes back what was not raised yet."""
    exception = None if error is None else ctypes.py_object(error)
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident or 0), exception)


class Console(code.InteractiveConsole):
    """The prompt: reads a statement, runs it on the loop, shows its value or its traceback."""

    def __init__(self, names: dict[str, Any], loop: LoopThread) -> None:
        super().__init__(names)
        self.loop = loop
        self.compile.compiler.flags |= ast.PyCF_ALLOW_TOP_LEVEL_AWAIT

    def runcode(self, code: types.CodeType) -> None:
        """Run one statement to its end."""
        function = types.FunctionType(code, self.locals)
        try:
            self.loop.run(function)
        except SystemExit:
            raise
        except KeyboardInterrupt:
            self.write("\nKeyboardInterrupt\n")
        except BaseException as error:  # noqa: BLE001 — shown, as at every prompt of Python
            self.write("".join(traceback.format_exception(error.with_traceback(self.typed(error.__traceback__)))))

    def typed(self, frames: types.TracebackType | None) -> types.TracebackType | None:
        """Return a traceback from what was typed on."""
        found = frames
        while found is not None and found.tb_frame.f_code.co_filename != self.filename:
            found = found.tb_next
        return found or frames
