"""minispark.deploy.secrets: places, their order, who may read them, and contexts for TLS."""

import os
import shutil
import ssl
import stat
from pathlib import Path

import pytest

from minispark.conf import SparkConf
from minispark.deploy.secrets import cluster_secret, daemon_secret, is_loopback, tls_contexts
from minispark.errors import ConfigurationError

TLS = Path(__file__).parent.parent / "rpc" / "tls"
SECRET = "a secret of the cluster"


def private(path: Path, text: str = SECRET, mode: int = 0o600) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)
    return path


def conf(**values: str) -> SparkConf:
    return SparkConf({f"minispark.{key.replace('_', '.')}": value for key, value in values.items()}, environment={})


def test_the_named_file_comes_first_then_the_environment_then_the_home(tmp_path: Path) -> None:
    private(tmp_path / ".minispark" / "secret", "from the home, it is")
    named = private(tmp_path / "named", "from the named file")
    environment = {"MINISPARK_SECRET": "from the environment"}

    in_file = cluster_secret(conf(authenticate_secretFile=str(named)), environment=environment, home=tmp_path)
    in_environment = cluster_secret(conf(), environment=environment, home=tmp_path)
    in_home = cluster_secret(conf(), environment={}, home=tmp_path)

    assert (in_file, in_environment) == (b"from the named file", b"from the environment")
    assert in_home == b"from the home, it is"


def test_the_last_newline_of_an_editor_is_no_part_of_the_secret(tmp_path: Path) -> None:
    private(tmp_path / ".minispark" / "secret", f"{SECRET}\n")

    assert cluster_secret(conf(), environment={}, home=tmp_path) == SECRET.encode()


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620])
def test_a_file_that_others_may_open_is_refused_and_the_way_out_is_said(tmp_path: Path, mode: int) -> None:
    path = private(tmp_path / "named", mode=mode)

    with pytest.raises(ConfigurationError, match=rf"can be read by others: `chmod 600 {path}`"):
        cluster_secret(conf(authenticate_secretFile=str(path)), environment={}, home=tmp_path)


def test_a_file_of_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = private(tmp_path / "named")
    monkeypatch.setattr(os, "geteuid", lambda: path.stat().st_uid + 1)

    with pytest.raises(ConfigurationError, match="belongs to user"):
        cluster_secret(conf(authenticate_secretFile=str(path)), environment={}, home=tmp_path)


def test_what_is_no_readable_file_is_named(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe", 0o600)

    for name, problem in (("missing", "No such file"), ("pipe", "is not a file")):
        with pytest.raises(ConfigurationError, match=problem):
            cluster_secret(conf(authenticate_secretFile=str(tmp_path / name)), environment={}, home=tmp_path)


@pytest.mark.parametrize("text", ["", "fifteen bytes..", " " * 20])
def test_a_short_secret_is_refused_without_being_shown(tmp_path: Path, text: str) -> None:
    private(tmp_path / ".minispark" / "secret", text)

    with pytest.raises(ConfigurationError, match="at least 16 are needed") as caught:
        cluster_secret(conf(), environment={}, home=tmp_path)

    assert not text.strip() or text.strip() not in str(caught.value)


def test_a_huge_file_is_no_secret(tmp_path: Path) -> None:
    private(tmp_path / ".minispark" / "secret", "x" * 5000)

    with pytest.raises(ConfigurationError, match="more than 4096 bytes"):
        cluster_secret(conf(), environment={}, home=tmp_path)


def test_without_a_secret_a_client_is_told_where_one_comes_from(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"MINISPARK_SECRET.*openssl rand -hex 32"):
        cluster_secret(conf(), environment={}, home=tmp_path)


def test_a_daemon_on_loopback_makes_a_secret_for_its_user_alone(tmp_path: Path) -> None:
    made = daemon_secret(conf(), "127.0.0.1", environment={}, home=tmp_path)

    path = tmp_path / ".minispark" / "secret"
    assert len(made) == 64
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert os.listdir(path.parent) == ["secret"]
    assert cluster_secret(conf(), environment={}, home=tmp_path) == made


def test_a_second_daemon_takes_the_secret_that_is_there(tmp_path: Path) -> None:
    first = daemon_secret(conf(), "localhost", environment={}, home=tmp_path)

    assert daemon_secret(conf(), "::1", environment={}, home=tmp_path) == first
    assert daemon_secret(conf(), "10.0.0.1", environment={}, home=tmp_path) == first


def test_a_daemon_off_loopback_makes_none(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"10\.0\.0\.1 without a secret would let anybody in"):
        daemon_secret(conf(), "10.0.0.1", environment={}, home=tmp_path)

    assert not (tmp_path / ".minispark").exists()


def test_a_home_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / ".minispark").write_text("in the way")

    with pytest.raises(ConfigurationError, match="cannot make a secret in"):
        daemon_secret(conf(), "127.0.0.1", environment={}, home=tmp_path)


def test_only_addresses_of_this_machine_are_loopback() -> None:
    assert all(map(is_loopback, ("localhost", "127.0.0.1", "127.8.8.8", "::1", "/run/master.sock")))
    assert not any(map(is_loopback, ("0.0.0.0", "::", "", "10.0.0.1", "host.example", "localhost.example")))


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """Return a folder with a certificate for localhost that is its own authority."""
    private(tmp_path / "key", (TLS / "key.pem").read_text())
    shutil.copy(TLS / "certificate.pem", tmp_path / "cert")
    return tmp_path


def tls(folder: Path, **changed: str) -> SparkConf:
    files = {"ssl_certificateFile": "cert", "ssl_keyFile": "key", "ssl_authorityFile": "cert"}
    return conf(**{key: str(folder / name) for key, name in files.items()}, **changed)


def test_without_a_certificate_there_is_no_tls() -> None:
    contexts = tls_contexts(conf())

    assert (contexts.server, contexts.client) == (None, None)


def test_both_sides_must_show_certificates(certificate: Path) -> None:
    contexts = tls_contexts(tls(certificate))

    assert contexts.server is not None
    assert contexts.client is not None
    assert contexts.server.verify_mode is contexts.client.verify_mode is ssl.CERT_REQUIRED
    assert contexts.server.minimum_version is contexts.client.minimum_version is ssl.TLSVersion.TLSv1_3
    assert contexts.client.check_hostname


def test_the_check_of_host_names_can_be_turned_off(certificate: Path) -> None:
    contexts = tls_contexts(tls(certificate, ssl_checkHostNames="false"))

    assert contexts.client is not None
    assert not contexts.client.check_hostname
    assert contexts.client.verify_mode is ssl.CERT_REQUIRED


@pytest.mark.parametrize("key", ["ssl_keyFile", "ssl_authorityFile"])
def test_half_of_the_tls_settings_is_an_error(certificate: Path, key: str) -> None:
    with pytest.raises(ConfigurationError, match="certificateFile is needed too"):
        tls_contexts(conf(**{key: str(certificate / "cert")}))


def test_a_certificate_without_an_authority_is_an_error(certificate: Path) -> None:
    with pytest.raises(ConfigurationError, match="authorityFile is needed too"):
        tls_contexts(conf(ssl_certificateFile=str(certificate / "cert")))


def test_files_that_are_no_certificates_are_named(certificate: Path, tmp_path: Path) -> None:
    wrong = private(tmp_path / "wrong")
    settings = tls(certificate)

    with pytest.raises(ConfigurationError, match=f"cannot use {wrong} with the key"):
        tls_contexts(settings.copy().set("minispark.ssl.certificateFile", str(wrong)))
    with pytest.raises(ConfigurationError, match=f"cannot use the authority {wrong}"):
        tls_contexts(settings.copy().set("minispark.ssl.authorityFile", str(wrong)))


def test_a_key_that_others_can_read_is_refused(certificate: Path, tmp_path: Path) -> None:
    key = private(tmp_path / "open" / "key", (certificate / "key").read_text(), mode=0o644)

    with pytest.raises(ConfigurationError, match="chmod 600"):
        tls_contexts(tls(certificate).set("minispark.ssl.keyFile", str(key)))
