"""Nodes that read files as a whole: their texts, their bytes, or the pickled records in them. Computed in runners.

Made by `SparkContext.whole_text_files`, `binary_files`, `binary_records` and `pickle_file`. Lines of text are
`sources`' business, what a path is, `files`'.
"""

import codecs
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import accumulate, chain
from typing import Any, Final, TypeVar

from minispark.errors import ConfigurationError, InputDamaged
from minispark.rdd.arguments import check_size
from minispark.rdd.face import new_origin
from minispark.rdd.files import InputFile, InputPath, PathLike, find_inputs, input_paths, open_input
from minispark.rdd.node import Node, Origin, Partition
from minispark.rdd.partitioner import check_num_partitions
from minispark.rdd.ports import JobRunner, TaskContext
from minispark.rdd.preparation import Preparation
from minispark.rdd.rdd import RDD
from minispark.storage.record_file import read_batches
from minispark.urls import shown

__all__ = ["FilesNode", "binary_files", "binary_records", "pickle_file", "whole_text_files"]

T = TypeVar("T")

BLOCK_RECORDS: Final = 1000

Reader = Callable[[str, TaskContext], Iterator[T]]


class FilesPartition(Partition):
    """Some of the files."""

    __slots__ = ("paths",)

    def __init__(self, index: int, paths: tuple[str, ...]) -> None:
        super().__init__(index)
        self.paths = paths


class FilesNode(Node[T]):
    """The records of files, each of which is read by one task.

    Args:
        origin: where it comes from.
        paths: what the user named.
        num_partitions: as how many to deal the files out; None: each file is one.
        read: yields the records of a file.
    """

    def __init__(
        self, origin: Origin, paths: Sequence[InputPath], num_partitions: int | None, read: Reader[T]
    ) -> None:
        super().__init__(*origin)
        self.paths = tuple(paths)
        self.num_partitions = num_partitions
        self.read = read

    def find_partitions(self) -> Sequence[Partition]:
        """List the files and deal them out, neighbours together and about as many bytes to each partition.

        Raises:
            InputNotFound: there is nothing at a path.
        """
        files = find_inputs(self.paths)
        if self.num_partitions is None:
            return [FilesPartition(index, (file.path,)) for index, file in enumerate(files)]
        groups = [group for group in dealt(files, self.num_partitions) if group]
        return [FilesPartition(index, tuple(file.path for file in group)) for index, group in enumerate(groups)]

    def keep(self, partitions: Sequence[Partition]) -> None:
        """Take what was found off the loop, unless the partitions were asked for, and so found, meanwhile."""
        if self._partitions is None:
            self._partitions = partitions

    @property
    def is_listed(self) -> bool:
        """Whether the files are known."""
        return self._partitions is not None

    def compute(self, partition: Partition, context: TaskContext) -> Iterator[T]:
        """Yield the records of the partition's files."""
        assert isinstance(partition, FilesPartition)
        return chain.from_iterable(self.read(path, context) for path in partition.paths)


def dealt(files: Sequence[InputFile], count: int) -> list[list[InputFile]]:
    """Return the files in groups that follow each other, of about the same size."""
    weights = [file.size_bytes + 1 for file in files]  # many empty files are work, too
    total = sum(weights)
    groups: list[list[InputFile]] = [[] for _ in range(count)]
    for file, weight, reached in zip(files, weights, accumulate(weights), strict=True):
        groups[(reached - weight // 2 - 1) * count // total].append(file)
    return groups


def whole_text_files(
    context: JobRunner,
    path: PathLike | Iterable[PathLike],
    min_partitions: int | None = None,
    encoding: str = "utf-8",
    errors: str = "replace",
) -> RDD[tuple[str, str]]:
    """Return an RDD of (path, text) of files; see `SparkContext.whole_text_files`."""
    read = partial(read_text, encoding, errors)
    codecs.lookup(encoding)
    codecs.lookup_error(errors)
    return files_rdd(context, "whole_text_files", path, default_count(context, min_partitions), read)


def binary_files(
    context: JobRunner, path: PathLike | Iterable[PathLike], min_partitions: int | None = None
) -> RDD[tuple[str, bytes]]:
    """Return an RDD of (path, content) of files; see `SparkContext.binary_files`."""
    return files_rdd(context, "binary_files", path, default_count(context, min_partitions), read_bytes)


def binary_records(context: JobRunner, path: PathLike | Iterable[PathLike], record_length: int) -> RDD[bytes]:
    """Return an RDD of the records of files, which all have the same length; see `SparkContext.binary_records`.

    Raises:
        ConfigurationError: the length is not at least 1.
    """
    if check_size("record_length", record_length) < 1:
        raise ConfigurationError(f"record_length = {record_length!r}: a whole number of at least 1 is needed")
    return files_rdd(context, "binary_records", path, None, partial(read_records, record_length))


def pickle_file(context: JobRunner, path: PathLike | Iterable[PathLike]) -> RDD[Any]:
    """Return an RDD of what `save_as_pickle_file` wrote, a partition a file; see `SparkContext.pickle_file`."""
    return files_rdd(context, "pickle_file", path, None, read_pickled)


def default_count(context: JobRunner, min_partitions: int | None) -> int:
    """Return as how many partitions to deal out files; at most, if there are fewer."""
    return min(context.default_parallelism, 2) if min_partitions is None else check_num_partitions(min_partitions)


def files_rdd(context: JobRunner, name: str, path: object, num_partitions: int | None, read: Reader[T]) -> RDD[T]:
    """Return an RDD of files, which are listed off the loop before the first job."""
    node = FilesNode(new_origin(context, name), input_paths("path", path), num_partitions, read)

    async def list_files() -> None:
        if not node.is_listed:
            node.keep(await context.run_blocking(node.find_partitions))

    node.prepare_by(Preparation(list_files, context))
    return RDD(context, node)


# What tasks run: plain functions, so that they are pickled by name.


def read_bytes(path: str, context: TaskContext) -> Iterator[tuple[str, bytes]]:
    """Yield a file's path and content."""
    with open_input(path) as file:
        content = file.read()
    context.metrics.records_read += 1
    yield path, content


def read_text(encoding: str, errors: str, path: str, context: TaskContext) -> Iterator[tuple[str, str]]:
    """Yield a file's path and text."""
    for _, content in read_bytes(path, context):
        yield path, content.decode(encoding, errors)


def read_records(length: int, path: str, context: TaskContext) -> Iterator[bytes]:
    """Yield a file's records of the same length.

    Raises:
        InputDamaged: the last one is shorter.
    """
    with open_input(path) as file:
        while block := file.read(length * BLOCK_RECORDS):
            if len(block) % length:
                raise InputDamaged(
                    f"{shown(path)!r} does not hold whole records of {length} bytes: it ends in the middle of one"
                )
            context.metrics.records_read += len(block) // length
            yield from (block[start : start + length] for start in range(0, len(block), length))


def read_pickled(path: str, context: TaskContext) -> Iterator[Any]:
    """Yield a file's pickled records."""
    with open_input(path) as file:
        for batch in read_batches(file, shown(path)):
            context.metrics.records_read += len(batch)
            yield from batch
