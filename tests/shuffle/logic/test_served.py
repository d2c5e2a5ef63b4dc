import pytest

from minispark.errors import ProtocolError
from minispark.ids import ApplicationId, ExecutorId
from minispark.shuffle.logic.served import ServedApplications, from_json

ONE, TWO = ExecutorId("1"), ExecutorId("2")
APP = ApplicationId("app-1")


def test_directories_are_found_by_realm_and_executor() -> None:
    served = ServedApplications()
    served.add(APP, "realm-a", "/work/app-1").register(ONE, "1/session")
    served.add(ApplicationId("app-2"), "realm-b", "/work/app-2")

    assert served.directory_of("realm-a", ONE) == "/work/app-1/1/session"
    assert served.directory_of("realm-a", TWO) is None
    assert served.directory_of("realm-b", ONE) is None, "another application's"
    assert served.directory_of("realm-c", ONE) is None
    assert served.directories() == ["/work/app-1/1/session"]


def test_an_application_that_is_added_again_keeps_its_executors() -> None:
    served = ServedApplications()
    served.add(APP, "realm", "/work/app-1").register(ONE, "1/session")

    served.add(APP, "realm", "/work/app-1")

    assert served.directory_of("realm", ONE) is not None


def test_an_application_that_has_ended_is_not_served() -> None:
    served = ServedApplications()
    application = served.add(APP, "realm", "/work/app-1")

    assert served.remove(APP) is application
    assert served.remove(APP) is None
    with pytest.raises(ProtocolError, match="no application of realm 'realm'"):
        served.of("realm")


@pytest.mark.parametrize("path", ["", "/etc", "..", "1/../..", "./1", "1//2", "1/"])
def test_paths_out_of_the_application_are_refused(path: str) -> None:
    application = ServedApplications().add(APP, "realm", "/work/app-1")

    with pytest.raises(ProtocolError, match="is not a directory below"):
        application.register(ONE, path)
    assert not application.executors


def test_registrations_come_back_from_their_file() -> None:
    application = ServedApplications().add(APP, "realm", "/work/app-1")
    application.register(ONE, "1/session")

    assert from_json(application.to_json()) == application


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"app_id": 1, "realm": 2, "directory": 3, "executors": 4}'])
def test_a_file_with_something_else_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"registrations|Expecting"):
        from_json(text)
