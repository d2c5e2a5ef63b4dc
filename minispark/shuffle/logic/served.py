"""Which session directories a shuffle service serves to whom: the executors of each application, by its realm.

Kept by `shuffle.service`, which has it written to disk and read back. An application is known by the realm whose
secret its processes prove, so nobody names the directories of another one. Must not look at the file system.
"""

import json
from dataclasses import dataclass, field
from typing import Any

from minispark.errors import ProtocolError
from minispark.ids import ApplicationId, ExecutorId

__all__ = ["ServedApplication", "ServedApplications", "from_json"]


@dataclass(slots=True)
class ServedApplication:
    """One application: its directory on this host, and the session directories below it, by executor."""

    app_id: ApplicationId
    realm: str
    directory: str
    executors: dict[ExecutorId, str] = field(default_factory=dict)

    def register(self, executor_id: ExecutorId, path: str) -> str:
        """Take an executor's session directory, instead of the one that was known; return where it is.

        Args:
            executor_id: whose it is.
            path: relative to the application's directory.

        Raises:
            ProtocolError: the path leads out of the application's directory.
        """
        if any(part in ("", ".", "..") for part in path.split("/")):
            raise ProtocolError(f"{path!r} is not a directory below that of application {self.app_id}")
        self.executors[executor_id] = path
        return f"{self.directory}/{path}"

    def to_json(self) -> str:
        """Return what `from_json` reads."""
        found: dict[str, Any] = {
            "app_id": self.app_id, "realm": self.realm, "directory": self.directory, "executors": self.executors,
        }  # fmt: skip
        return json.dumps(found)


def from_json(text: str) -> ServedApplication:
    """Read what `to_json` wrote.

    Raises:
        ValueError: it is something else.
    """
    try:
        found = json.loads(text)
        executors = {ExecutorId(str(name)): str(path) for name, path in found["executors"].items()}
        return ServedApplication(
            ApplicationId(str(found["app_id"])), str(found["realm"]), str(found["directory"]), executors
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not the registrations of an application: {error}") from None


class ServedApplications:
    """The applications of a host, by realm; fulfils `storage.transfer.Directories`."""

    def __init__(self) -> None:
        self.by_realm: dict[str, ServedApplication] = {}

    def add(self, app_id: ApplicationId, realm: str, directory: str) -> ServedApplication:
        """Let an application's executors register; what is known of it stays."""
        known = self.by_realm.get(realm)
        if known is None:
            known = self.by_realm[realm] = ServedApplication(app_id, realm, directory)
        return known

    def remove(self, app_id: ApplicationId) -> ServedApplication | None:
        """Forget an application and return it; None if it is not known."""
        for realm, application in self.by_realm.items():
            if application.app_id == app_id:
                return self.by_realm.pop(realm)
        return None

    def directories(self) -> list[str]:
        """Return the session directories that are registered."""
        return [
            f"{application.directory}/{path}"
            for application in self.by_realm.values()
            for path in application.executors.values()
        ]

    def of(self, realm: str) -> ServedApplication:
        """Return the application of a realm.

        Raises:
            ProtocolError: it does not run here, or has ended.
        """
        application = self.by_realm.get(realm)
        if application is None:
            raise ProtocolError(f"no application of realm {realm!r} runs on this worker")
        return application

    def directory_of(self, realm: str, executor_id: ExecutorId) -> str | None:
        """Return an executor's session directory; None if none is registered."""
        application = self.by_realm.get(realm)
        path = application.executors.get(executor_id) if application is not None else None
        return None if application is None or path is None else f"{application.directory}/{path}"
