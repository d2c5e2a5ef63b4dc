"""Which setting says how long something may take, and the error that names it. Source: Spark's `RpcTimeout`."""

from minispark.conf import SparkConf, settings
from minispark.errors import RpcTimeout
from minispark.record import Record, record

__all__ = ["ASK_KEYS", "LOOKUP_KEYS", "TimeoutSetting", "timeout_of"]

ASK_KEYS = ("minispark.rpc.askTimeout", "minispark.network.timeout")
LOOKUP_KEYS = ("minispark.rpc.lookupTimeout", "minispark.network.timeout")
CONTROLLED = "this timeout is controlled by"


@record
class TimeoutSetting(Record):
    """A duration and the key it came from."""

    duration_s: float
    key: str

    def explain(self, text: str) -> str:
        """Add the controlling key to an error's text, unless one is named there already."""
        return text if CONTROLLED in text else f"{text}; {CONTROLLED} {self.key}"

    def error(self, text: str) -> RpcTimeout:
        """Return the error of this timeout."""
        return RpcTimeout(self.explain(text))


def timeout_of(conf: SparkConf, *keys: str) -> TimeoutSetting:
    """Return the first of the keys that is set; if none is, the default of the first.

    Raises:
        ConfigurationError: there is no such setting, or its value is not a duration.
    """
    known = settings()
    names = [conf.known_key(key) for key in keys]
    key = next((name for name in names if conf.contains(name)), names[0])
    text = conf.get(key)
    return TimeoutSetting(float(known[key].default if text is None else known[key].read(text)), key)
