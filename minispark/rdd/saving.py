"""The RDD's methods that write files; coroutines. What a path is, is `files`' business."""

from collections.abc import Iterator
from functools import partial
from itertools import islice
from typing import Any, Literal, TypeVar

from minispark.errors import ConfigurationError
from minispark.rdd.face import Face
from minispark.rdd.files import OutputDirectory, PathLike
from minispark.rdd.ports import TaskContext

__all__ = ["SaveMethods"]

T_co = TypeVar("T_co", covariant=True)

Compression = Literal["gzip"]

SUFFIXES: dict[Compression | None, str] = {None: "", "gzip": ".gz"}


class SaveMethods(Face[T_co]):
    """save_as_text_file."""

    async def save_as_text_file(self, path: PathLike, compression: Compression | None = None) -> None:
        """Write one file per partition, `part-00000` and so on, with a line `str(record)` for each record.

        A task writes elsewhere and moves its file into place when it is whole, so a part is never seen half written,
        whichever of several attempts wins; `_SUCCESS` is written last. If the job fails, the directory goes away.

        Args:
            path: the directory to make.
            compression: "gzip" gives `part-00000.gz`.

        Raises:
            OutputExists: there is something at the path.
            ConfigurationError: the path is not local, or the compression unknown.
        """
        if compression not in SUFFIXES:
            raise ConfigurationError(f"compression = {compression!r}: 'gzip' or None is needed")
        await self.prepare()
        directory = OutputDirectory.create(path)
        try:
            await self.run(partial(write_part, directory, SUFFIXES[compression]), None)
        except BaseException:
            directory.abandon()
            raise
        directory.commit()


def write_part(directory: OutputDirectory, suffix: str, context: TaskContext, records: Iterator[Any]) -> None:
    """Write a partition's file; what a task runs."""
    name = f"part-{context.partition_id:05d}{suffix}"
    with directory.part(name, str(context.task_attempt_id)) as file:
        while batch := list(islice(records, 1000)):
            file.write(lines(batch))


def lines(records: list[Any]) -> bytes:
    """Return records as lines: bytes as they are, anything else as its str in UTF-8."""
    if bytes in map(type, records):
        return b"".join([(r if isinstance(r, bytes) else str(r).encode()) + b"\n" for r in records])
    return ("\n".join(map(str, records)) + "\n").encode()
