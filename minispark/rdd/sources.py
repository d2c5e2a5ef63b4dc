"""RDDs that are made of data, not of other RDDs: parallelize, range, text files. Called by the SparkContext."""

import codecs
import io
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Any, Final, TypeVar

from minispark.errors import ConfigurationError
from minispark.rdd import closures
from minispark.rdd.compression import damage_errors, is_compressed, named_damage, open_compressed
from minispark.rdd.face import Face, new_origin
from minispark.rdd.files import InputFile, InputPath, PathLike, find_inputs, input_paths, open_input
from minispark.rdd.narrow import UnionNode
from minispark.rdd.node import Node, Origin, Partition
from minispark.rdd.partitioner import check_num_partitions
from minispark.rdd.ports import JobRunner, TaskContext
from minispark.rdd.preparation import Preparation
from minispark.rdd.rdd import RDD
from minispark.storage.batches import dump_batches, load_batch
from minispark.urls import shown

__all__ = ["ParallelizeNode", "RangeNode", "TextFileNode", "empty", "parallelize", "range_rdd", "text_file"]

T = TypeVar("T")

SPLIT_BYTES: Final = 32 << 20  # the most bytes of a file in one partition, as Hadoop has it for local files
SPLIT_SLOP: Final = 1.1  # the last split may be this much larger, so that no tiny one follows
BLOCK_BYTES: Final = 1 << 20


def parallelize(
    context: JobRunner,
    data: Iterable[T],
    num_slices: int | None = None,
) -> RDD[T]:
    """Return an RDD of a collection's records, in slices of equal size; later changes of the records do not matter.

    The records are pickled at once, in the caller, which holds up its event loop for about 2 ms per MB: for large
    data give a `range`, or let the tasks read files.

    Args:
        context: runs its jobs.
        data: the records; a `range` is never written out.
        num_slices: how many partitions; None: the default parallelism.

    Raises:
        ConfigurationError: the number is below 1.
        TypeError: the data is not iterable.
        PicklingError: a record cannot be pickled.
    """
    if isinstance(data, Face):
        raise TypeError(f"parallelize needs a collection, and {data!r} is an RDD already")
    if not isinstance(data, Iterable):
        raise TypeError(f"parallelize needs a collection, not {data!r}")
    slices = check_slices(context, num_slices)
    origin = new_origin(context, "parallelize")
    node: Node[Any]
    if isinstance(data, range):
        node = RangeNode(origin, data, slices)
    else:
        records = data if isinstance(data, list | tuple) else list(data)
        node = ParallelizeNode(origin, records, slices)
    return RDD(context, node)


def range_rdd(
    context: JobRunner, start: int, end: int | None = None, step: int = 1, num_slices: int | None = None
) -> RDD[int]:
    """Return an RDD of the numbers from start (0 if only one bound is given) to below end, never written out."""
    numbers = range(start, end, step) if end is not None else range(0, start, step)
    return RDD(context, RangeNode(new_origin(context, "range"), numbers, check_slices(context, num_slices)))


def text_file(
    context: JobRunner,
    path: PathLike | Iterable[PathLike],
    min_partitions: int | None = None,
    encoding: str = "utf-8",
    errors: str = "replace",
) -> RDD[str]:
    r"""Return an RDD of the lines of text files, without their ends (`\n`, `\r\n` or `\r`).

    Large files are cut into byte ranges at line ends; compressed ones (.gz, .bz2, .xz, .lzma) are read whole.

    Args:
        context: runs its jobs.
        path: a file, a directory (its files, but for hidden ones: `.x`, `_x`), a glob, several of these with commas
            between them, or a list, in which a comma is part of a path; URLs of what fsspec knows as well. Relative
            ones are taken from the working directory of now. Files are listed off the loop by the first job, or at
            once where the number of partitions is asked for, and read by the tasks.
        min_partitions: at least about so many; None: 2, or 1 if the default parallelism is.
        encoding: of all the files.
        errors: what happens to bytes that are not of that encoding, as in `bytes.decode`.

    Raises:
        LookupError: there is no such encoding.
        ConfigurationError: the number is below 1, or a path is empty or a URL unknown. Later, `InputNotFound`: there
            is nothing at a path.
        TypeError: a path is not a path.
    """
    codecs.lookup(encoding)
    codecs.lookup_error(errors)
    count = min(context.default_parallelism, 2)
    if min_partitions is not None:
        count = check_count("min_partitions", min_partitions)
    paths = input_paths("path", path)
    node = TextFileNode(new_origin(context, "text_file"), paths, count, encoding, errors)

    async def list_files() -> None:
        if not node.is_listed:
            node.keep(await context.run_blocking(node.find_partitions))

    node.prepare_by(Preparation(list_files, context))
    return RDD(context, node)


def empty(context: JobRunner) -> RDD[Any]:
    """Return an RDD without partitions."""
    return RDD(context, UnionNode[Any](new_origin(context, "empty"), ()))


def check_slices(context: JobRunner, num_slices: int | None) -> int:
    """Return how many slices to make."""
    return context.default_parallelism if num_slices is None else check_count("num_slices", num_slices)


def check_count(what: str, count: int) -> int:
    """Return a partition count; raises ConfigurationError with the argument's name."""
    try:
        return check_num_partitions(count)
    except ConfigurationError as error:
        raise ConfigurationError(str(error).replace("num_partitions", what)) from None


def slice_bounds(total: int, slices: int) -> Iterator[tuple[int, int]]:
    """Yield the bounds of slices whose sizes differ by one at most."""
    return ((index * total // slices, (index + 1) * total // slices) for index in range(slices))


class SlicePartition(Partition):
    """A slice of a collection, as batches; an empty slice is a plain Partition."""

    __slots__ = ("batches",)

    def __init__(self, index: int, batches: tuple[bytes, ...]) -> None:
        super().__init__(index)
        self.batches = batches


class ParallelizeNode(Node[T]):
    """A collection of the driver's. Pickled here and now, so that nothing that happens to it later is seen."""

    def __init__(self, origin: Origin, records: Sequence[T], slices: int) -> None:
        super().__init__(*origin)
        bounds = slice_bounds(len(records), slices)
        self._partitions = [
            SlicePartition(index, tuple(dump_batches(records[low:high], fallback=closures.dumps_value)))
            if low < high
            else Partition(index)
            for index, (low, high) in enumerate(bounds)
        ]

    def compute(self, partition: Partition, context: TaskContext) -> Iterator[T]:
        """Yield the records of a slice."""
        if not isinstance(partition, SlicePartition):
            return iter(())
        return counted(map(load_batch, partition.batches), context)


class RangeNode(Node[int]):
    """Numbers, computed where they are needed.

    Raises:
        ConfigurationError: there are more of them than can be counted in 63 bits.
    """

    def __init__(self, origin: Origin, numbers: range, slices: int) -> None:
        super().__init__(*origin)
        try:
            len(numbers)
        except OverflowError:
            raise ConfigurationError(
                f"{numbers!r} has too many numbers to be counted: at most 2^63 − 1 can be"
            ) from None
        self.numbers = numbers
        self.slices = slices

    def find_partitions(self) -> Sequence[Partition]:
        """Return plain partitions: the index says all."""
        return [Partition(index) for index in range(self.slices)]

    def compute(self, partition: Partition, context: TaskContext) -> Iterator[int]:
        """Yield the numbers of a slice."""
        total, index = len(self.numbers), partition.index
        mine = self.numbers[index * total // self.slices : (index + 1) * total // self.slices]
        context.metrics.records_read += len(mine)
        return iter(mine)


class FileSplit(Partition):
    """A byte range of a file: the lines that begin in it; `end` is −1 for a file that is read whole."""

    __slots__ = ("end", "path", "start")

    def __init__(self, index: int, path: str, start: int, end: int) -> None:
        super().__init__(index)
        self.path = path
        self.start = start
        self.end = end


class TextFileNode(Node[str]):
    """The lines of text files. Source for the sizes of the splits: Hadoop's FileInputFormat."""

    def __init__(
        self, origin: Origin, paths: Sequence[InputPath], min_partitions: int, encoding: str, errors: str
    ) -> None:
        super().__init__(*origin)
        self.paths = tuple(paths)
        self.min_partitions = min_partitions
        self.encoding = encoding
        self.errors = errors
        self.is_splittable = "\n".encode(encoding) == b"\n"

    def find_partitions(self) -> Sequence[Partition]:
        """List the files and cut them; empty ones give no partition.

        Raises:
            InputNotFound: there is nothing at a path.
        """
        files = find_inputs(self.paths)
        goal = sum(file.size_bytes for file in files) // self.min_partitions
        split_bytes = max(1, min(goal, SPLIT_BYTES))
        ranges = (
            (file.path, start, end)
            for file in files
            for start, end in (self.cut(file, split_bytes) if file.size_bytes else ())
        )
        return [FileSplit(index, *bounds) for index, bounds in enumerate(ranges)]

    @property
    def is_listed(self) -> bool:
        """Whether the files are known."""
        return self._partitions is not None

    def keep(self, partitions: Sequence[Partition]) -> None:
        """Take what was found off the loop, unless the partitions were asked for, and so found, meanwhile."""
        if self._partitions is None:
            self._partitions = partitions

    def cut(self, file: InputFile, split_bytes: int) -> Iterator[tuple[int, int]]:
        """Yield the byte ranges of a file."""
        if not self.is_splittable or is_compressed(file.path):
            yield 0, -1
            return
        start = 0
        while file.size_bytes - start > SPLIT_SLOP * split_bytes:
            yield start, start + split_bytes
            start += split_bytes
        yield start, file.size_bytes

    def compute(self, partition: Partition, context: TaskContext) -> Iterator[str]:
        """Yield the lines that begin in a range."""
        assert isinstance(partition, FileSplit)
        if partition.end < 0:
            blocks = whole_file(partition.path, self.encoding, self.errors)
        else:
            blocks = (block.decode(self.encoding, self.errors) for block in line_blocks(partition))
        return counted(map(split_lines, with_named_file(blocks, partition.path)), context)


def with_named_file(blocks: Iterator[str], path: str) -> Iterator[str]:
    """Yield blocks of text; where bytes are not of the encoding, a note on the error says in which file."""
    try:
        yield from blocks
    except UnicodeDecodeError as error:
        error.add_note(f"in the file {shown(path)!r}")
        raise


def counted(batches: Iterator[list[T]], context: TaskContext) -> Iterator[T]:
    """Yield the records of batches, and count them in the task's metrics as the batches come."""

    def count() -> Iterator[list[T]]:
        metrics = context.metrics
        for batch in batches:
            metrics.records_read += len(batch)
            yield batch

    return chain.from_iterable(count())


def split_lines(text: str) -> list[str]:
    r"""Return the lines of a text, without ends; unlike `str.splitlines`, only \n, \r\n and \r are line ends."""
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    lines = text.split("\n")
    if not lines[-1]:
        del lines[-1]
    return lines


def line_blocks(split: FileSplit) -> Iterator[bytes]:
    """Yield whole lines in blocks of about a megabyte; the last line may end beyond the range."""
    with open_input(split.path) as file:
        position = split.start
        if position > 0:
            # The line that the byte before belongs to is another split's.
            file.seek(position - 1)
            position += len(file.readline()) - 1
        while position < split.end:
            block = file.read(min(BLOCK_BYTES, split.end - position))
            if not block:
                return  # the file has become shorter
            if not block.endswith(b"\n"):
                block += file.readline()
            if position == 0:
                block = block.removeprefix(codecs.BOM_UTF8)
            position = file.tell()
            yield block


def whole_file(path: str, encoding: str, errors: str) -> Iterator[str]:
    """Yield whole lines of a file in blocks, decompressed if need be.

    Raises:
        InputDamaged: it cannot be decompressed.
    """
    with open_input(path) as file:
        source: Any = open_compressed(file, path, "rb") if is_compressed(path) else file
        try:
            with io.TextIOWrapper(source, encoding=encoding, errors=errors, newline=None) as text:
                first = True
                while block := text.read(BLOCK_BYTES):
                    if not block.endswith("\n"):
                        block += text.readline()
                    yield block.removeprefix("\ufeff") if first else block
                    first = False
        except damage_errors(path) as error:
            raise named_damage(path, error) from None
