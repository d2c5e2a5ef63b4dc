"""The user's line, found from anywhere below."""

import inspect

from minispark.rdd.call_site import call_site
from minispark.rdd.sources import parallelize
from minispark.testing.serial import SerialJobRunner


def line_here() -> int:
    frame = inspect.currentframe()
    assert frame is not None
    assert frame.f_back is not None
    return frame.f_back.f_lineno


def test_the_nearest_line_outside_of_the_package_counts() -> None:
    rdd, line = parallelize(SerialJobRunner(), [1]).map(str), line_here()

    assert rdd.node.call_site == f"test_call_site.py:{line}"
    assert call_site() == f"test_call_site.py:{line + 3}"
