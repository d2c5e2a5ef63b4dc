"""What tests of commands share."""

import pytest

from tests.ports import free_port


@pytest.fixture(name="free_port")
def a_free_port() -> int:
    """Return a port of loopback that nobody listens on."""
    return free_port()
