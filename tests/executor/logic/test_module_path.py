from minispark.executor.logic.module_path import merged_path

OWN = ("/opt/lib/python311.zip", "/opt/lib/python3.11", "/opt/lib/python3.11/lib-dynload", "/opt/site-packages")


def test_the_programs_modules_come_first_and_what_was_installed_for_another_interpreter_last() -> None:
    driver = (
        "/srv/program", "/usr/lib/python311.zip", "/usr/lib/python3.11", "/usr/lib/python3.11/lib-dynload",
        "/usr/site-packages",
    )  # fmt: skip

    path = merged_path(driver, "/srv", OWN, lambda _: True)

    assert path == ("/srv/program", *OWN, "/usr/site-packages")


def test_what_is_not_on_this_host_is_left_out_and_nothing_is_there_twice() -> None:
    driver = ("/here", "/elsewhere", "/here", "/opt/site-packages")

    assert merged_path(driver, "/srv", OWN, lambda entry: entry == "/here") == ("/here", *OWN)


def test_relative_entries_are_meant_from_the_drivers_directory() -> None:
    assert merged_path(("", "lib"), "/srv/program", OWN, lambda _: True)[:2] == (
        "/srv/program",
        "/srv/program/lib",
    )
