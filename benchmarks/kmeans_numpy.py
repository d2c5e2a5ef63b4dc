"""How long k-means takes as in `kmeans`, over points in blocks that are numpy arrays."""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # a process a core, here as by hand

from collections.abc import Iterator
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from benchmarks.harness import Result
from benchmarks.kmeans import Centres, Form, Sums, make_points, run_form

__all__ = ["run"]

BLOCK = 5_000

Block = NDArray[np.float64]


def make_blocks(part: int, parts: int, count: int) -> Iterator[Block]:
    """Yield a part's points in blocks."""
    points = make_points(part, parts, count)
    while block := list(islice(points, BLOCK)):
        yield np.array(block)


def nearest(centres: Centres, block: Block) -> list[tuple[int, Sums]]:
    """Return the clusters of a block's points, each with their sum and number."""
    distances = ((block[:, None, :] - np.asarray(centres)) ** 2).sum(axis=2)
    clusters = distances.argmin(axis=1)
    counts = np.bincount(clusters)
    return [(int(one), (block[clusters == one].sum(axis=0), int(counts[one]))) for one in counts.nonzero()[0]]


def merged(left: Sums, right: Sums) -> Sums:
    """Put sums of points together."""
    return left[0] + right[0], left[1] + right[1]


def mean_point(sums: Sums) -> Block:
    """Return the centre of points."""
    centre: Block = sums[0] / sums[1]
    return centre


def run(quick: bool = False) -> Result:
    """Measure."""
    return run_form(Form("kmeans_numpy", make_blocks, nearest, True, merged, mean_point), quick)
