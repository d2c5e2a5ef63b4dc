"""What listeners hear of the application itself, and the listeners that the settings name.

The driver asks, when it starts and stops. Must not post by itself.
"""

import sys
from importlib import import_module

from minispark import __version__
from minispark.conf import SparkConf
from minispark.errors import ConfigurationError
from minispark.messages.listener import ApplicationStart, EnvironmentUpdate, ListenerEvent, SparkListener
from minispark.urls import shown_setting

__all__ = ["extra_listeners", "opening_events"]


def extra_listeners(conf: SparkConf) -> list[SparkListener]:
    """Make the listeners of `minispark.extraListeners`.

    Raises:
        ConfigurationError: one cannot be imported or made, or is no listener; the text names it.
    """
    return [make_listener(name.strip()) for name in conf.extra_listeners.split(",") if name.strip()]


def make_listener(name: str) -> SparkListener:
    """Make the listener that `module:Class` names.

    Raises:
        ConfigurationError: it cannot be made; the text says why.
    """
    module, _, attribute = name.partition(":")
    try:
        listener: SparkListener = getattr(import_module(module), attribute)()
    except Exception as error:  # whatever foreign code raises
        raise ConfigurationError(
            f"minispark.extraListeners: {name!r} could not be made ({type(error).__name__}: {error}); "
            "module:Class is needed, a class that is called without arguments"
        ) from error
    if not callable(getattr(listener, "on_event", None)):
        raise ConfigurationError(
            f"minispark.extraListeners: {name!r} is no listener: it has no method on_event(event)"
        )
    return listener


def opening_events(conf: SparkConf, application_id: str, now_s: float) -> tuple[ListenerEvent, ...]:
    """Return what is posted first.

    Args:
        conf: the application's settings.
        application_id: its id.
        now_s: seconds since the epoch.
    """
    return (
        EnvironmentUpdate(
            {key: shown_setting(key, value) for key, value in conf.get_all()}, sys.version.split()[0], __version__
        ),
        ApplicationStart(application_id, conf.app_name, now_s),
    )
