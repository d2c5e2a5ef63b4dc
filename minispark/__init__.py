"""minispark: Spark's core in pure Python, asyncio from end to end.

The façade: names only, loaded at first use, so that a runner process never imports the driver's half.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from minispark.conf import SparkConf
    from minispark.context import SparkContext
    from minispark.errors import (
        ConfigurationError,
        ContextError,
        JobCancelled,
        JobFailed,
        MiniSparkError,
        PicklingError,
        UserCodeError,
    )
    from minispark.rdd.rdd import RDD

__version__ = "0.1.0"

__all__ = [
    "RDD",
    "ConfigurationError",
    "ContextError",
    "JobCancelled",
    "JobFailed",
    "MiniSparkError",
    "PicklingError",
    "SparkConf",
    "SparkContext",
    "UserCodeError",
]

_HOME = {"SparkContext": "minispark.context", "SparkConf": "minispark.conf", "RDD": "minispark.rdd.rdd"}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'minispark' has no attribute {name!r}")
    return getattr(import_module(_HOME.get(name, "minispark.errors")), name)
