"""The RDD's methods that write files, to be awaited. What a path is, is `files`' business."""

from collections.abc import Callable, Coroutine, Iterator
from functools import partial
from itertools import islice
from typing import Any, Literal, TypeVar

from minispark.errors import ConfigurationError
from minispark.rdd.arguments import check_size
from minispark.rdd.checkpoints import write_part
from minispark.rdd.face import Face
from minispark.rdd.files import JobOutput, PartDirectory, PathLike, absolute_path, output_at
from minispark.rdd.ports import TaskContext
from minispark.storage.batches import BATCH_RECORDS

__all__ = ["SaveMethods"]

T_co = TypeVar("T_co", covariant=True)

Compression = Literal["gzip"]

WritePart = Callable[[PartDirectory, TaskContext, Iterator[Any]], None]

SUFFIXES: dict[Compression | None, str] = {None: "", "gzip": ".gz"}


class SaveMethods(Face[T_co]):
    """save_as_text_file, save_as_pickle_file."""

    def save_as_text_file(self, path: PathLike, compression: Compression | None = None) -> Coroutine[Any, Any, None]:
        """Write one file per partition, `part-00000` and so on, with a line `str(record)` for each record.

        A task writes elsewhere and moves its file into place when it is whole, so a part is never seen half written.
        Of several attempts only one does: the first that asks the driver. `_SUCCESS` is written last. If the job
        fails, the directory goes away.

        Args:
            path: the directory to make, or its URL; a relative one is taken from the working directory of now.
            compression: "gzip" gives `part-00000.gz`.

        Raises:
            OutputExists: there is something at the path.
            ConfigurationError: the path is empty, or a URL that cannot be written, or the compression unknown.
            TypeError: the path is not a path.
        """
        # A plain def: a coroutine's body would see the working directory of when it is awaited.
        if compression not in SUFFIXES:
            raise ConfigurationError(f"compression = {compression!r}: 'gzip' or None is needed")
        write = partial(write_text_part, SUFFIXES[compression])
        return save(self, output_at(absolute_path("path", path)), write)

    def save_as_pickle_file(self, path: PathLike, batch_size: int = BATCH_RECORDS) -> Coroutine[Any, Any, None]:
        """Write the records pickled, one file per partition, for `SparkContext.pickle_file`.

        The files are checksummed and compressed where that pays. They appear as those of `save_as_text_file` do.

        Args:
            path: the directory to make, or its URL; a relative one is taken from the working directory of now.
            batch_size: the most records that are pickled together.

        Raises:
            OutputExists: there is something at the path.
            ConfigurationError: the path is empty, or a URL that cannot be written, or the size not at least 1.
            TypeError: the path is not a path.
        """
        if check_size("batch_size", batch_size) < 1:
            raise ConfigurationError("batch_size = 0: a batch has at least one record")
        write = partial(write_pickled_part, batch_size)
        return save(self, output_at(absolute_path("path", path)), write)


async def save(rdd: Face[Any], output: JobOutput, write: WritePart) -> None:
    """Run the job that fills a directory."""
    await rdd.prepare()
    off_the_loop = rdd.context.run_blocking
    try:
        directory = await off_the_loop(output.create)
        await rdd.run(partial(write, directory), None)
        await off_the_loop(output.commit)
    except GeneratorExit:  # the loop was closed before the job's end: nothing can be awaited any more
        output.abandon()
        raise
    except BaseException:
        await rdd.context.give_up(output)
        raise


def write_text_part(suffix: str, directory: PartDirectory, context: TaskContext, records: Iterator[Any]) -> None:
    """Write a partition's lines; what a task runs."""
    name = f"part-{context.partition_id:05d}{suffix}"
    with directory.part(name, str(context.task_attempt_id), context.request_commit) as file:
        while batch := list(islice(records, 1000)):
            file.write(lines(batch))


def write_pickled_part(
    batch_size: int, directory: PartDirectory, context: TaskContext, records: Iterator[Any]
) -> None:
    """Write a partition's records; what a task runs."""
    write_part(directory, True, batch_size, context, records)


def lines(records: list[Any]) -> bytes:
    """Return records as lines: bytes as they are, anything else as its str in UTF-8."""
    if any(issubclass(kind, bytes) for kind in set(map(type, records))):
        return b"".join([(r if isinstance(r, bytes) else str(r).encode()) + b"\n" for r in records])
    return ("\n".join(map(str, records)) + "\n").encode()
