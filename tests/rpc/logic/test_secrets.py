"""Secrets made of secrets."""

from minispark.rpc.logic.secrets import application_secret


def test_an_applications_secret_depends_on_the_cluster_and_on_its_realm() -> None:
    own = application_secret(b"c" * 32, "app-1")
    assert len(own) == 32
    assert own == application_secret(b"c" * 32, "app-1")
    assert own != application_secret(b"c" * 32, "app-2")
    assert own != application_secret(b"d" * 32, "app-1")
