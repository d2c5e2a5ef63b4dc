"""What SparkContext reads as a whole: small files, binary ones, and what `save_as_pickle_file` wrote.

A base of SparkContext. The nodes are `rdd.whole_files`', which is loaded at the first use.
"""

from collections.abc import Iterable
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from minispark.rdd.files import PathLike
    from minispark.rdd.rdd import RDD

__all__ = ["Reading"]


class Reading:
    """RDDs of files."""

    def check_usable(self) -> None:
        """Raise unless the context is active, and on this loop."""
        raise NotImplementedError

    @property
    def whole_files(self) -> Any:
        """The module that has the nodes."""
        self.check_usable()
        return import_module("minispark.rdd.whole_files")

    def whole_text_files(
        self,
        path: "PathLike | Iterable[PathLike]",
        min_partitions: int | None = None,
        *,
        encoding: str = "utf-8",
        errors: str = "replace",
    ) -> "RDD[tuple[str, str]]":
        """Make an RDD of (path, text) for each file: for many small ones, each of which fits in memory.

        Args:
            path: a file, a directory or a glob; several of these, as in `text_file`.
            min_partitions: about how many partitions the files are dealt out to, default `default_min_partitions`;
                not more than there are files.
            encoding: of all the files.
            errors: what happens to bytes that are not of that encoding, as in `bytes.decode`.

        Raises:
            ConfigurationError: a path is empty or a URL unknown, or min_partitions is not at least 1. What is missing
                is told by the first action: InputNotFound.
            TypeError: a path is not a path.
            LookupError: there is no such encoding.
        """
        found: RDD[tuple[str, str]] = self.whole_files.whole_text_files(self, path, min_partitions, encoding, errors)
        return found

    def binary_files(
        self, path: "PathLike | Iterable[PathLike]", min_partitions: int | None = None
    ) -> "RDD[tuple[str, bytes]]":
        """Make an RDD of (path, content) for each file; see `whole_text_files`."""
        found: RDD[tuple[str, bytes]] = self.whole_files.binary_files(self, path, min_partitions)
        return found

    def binary_records(self, path: "PathLike | Iterable[PathLike]", record_length: int) -> "RDD[bytes]":
        """Make an RDD of the records of files that consist of records of the same length, in bytes.

        Raises:
            ConfigurationError: a path is empty or a URL unknown, or the length is not at least 1. Later,
                `InputDamaged`: a file does not end where a record does.
            TypeError: a path is not a path.
        """
        found: RDD[bytes] = self.whole_files.binary_records(self, path, record_length)
        return found

    def pickle_file(self, path: "PathLike | Iterable[PathLike]") -> "RDD[Any]":
        """Make an RDD of what `RDD.save_as_pickle_file` wrote, with as many partitions.

        Unpickling runs code: read files of people that you trust.

        Raises:
            ConfigurationError: a path is empty or a URL unknown. Later, `InputNotFound`: there is nothing, or
                `InputDamaged`: a file is none of these, or not as it was written.
            TypeError: a path is not a path.
        """
        found: RDD[Any] = self.whole_files.pickle_file(self, path)
        return found
