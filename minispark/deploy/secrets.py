"""Where the secret of a cluster comes from, and its certificates: files that nobody but their owner can read.

Called by the composition roots: masters, workers, drivers, executors and the clients of the command line. What is
found here is never logged, never part of an error, and never on a command line. Who derives which secret from it is
in `rpc.logic.secrets`.
"""

import contextlib
import ipaddress
import os
import ssl
import stat
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from minispark.conf import SparkConf
from minispark.errors import ConfigurationError

__all__ = ["SECRET_VARIABLE", "TlsContexts", "cluster_secret", "daemon_secret", "is_loopback", "tls_contexts"]

SECRET_VARIABLE = "MINISPARK_SECRET"
MIN_SECRET_SIZE = 16
MADE_SECRET_SIZE = 32
MAX_SECRET_SIZE = 4096

HOW_TO = (
    f"set minispark.authenticate.secretFile or the environment's {SECRET_VARIABLE}, or copy ~/.minispark/secret of "
    "the master's user; `openssl rand -hex 32` makes one"
)


@dataclass(frozen=True)
class TlsContexts:
    """The contexts of an RpcEnv (`server_tls`, `client_tls`); both None: frames are sealed instead."""

    server: ssl.SSLContext | None = None
    client: ssl.SSLContext | None = None


def cluster_secret(
    conf: SparkConf, *, environment: Mapping[str, str] | None = None, home: Path | None = None
) -> bytes:
    """Return the cluster's secret, for a process that joins or asks a cluster.

    Args:
        conf: `minispark.authenticate.secretFile` is looked at first.
        environment: MINISPARK_SECRET is looked at second; by default the process's own.
        home: `.minispark/secret` in it is looked at last; by default the user's.

    Raises:
        ConfigurationError: there is none, it is too short, or others can read the file; the message says what to do.
    """
    found = find(conf, os.environ if environment is None else environment, home or Path.home())
    if found is None:
        raise ConfigurationError(f"the secret of the cluster is not known here: {HOW_TO}")
    return found


def daemon_secret(
    conf: SparkConf, host: str, *, environment: Mapping[str, str] | None = None, home: Path | None = None
) -> bytes:
    """Return the cluster's secret for a daemon that will listen on `host`.

    If there is none yet and `host` is a loopback address, one is made in ~/.minispark/secret, for this user alone.

    Raises:
        ConfigurationError: as `cluster_secret`; also off loopback without a secret.
    """
    home = home or Path.home()
    found = find(conf, os.environ if environment is None else environment, home)
    if found is not None:
        return found
    if not is_loopback(host):
        raise ConfigurationError(f"listening on {host} without a secret would let anybody in: {HOW_TO}")
    return make_secret(home / ".minispark" / "secret")


def is_loopback(host: str) -> bool:
    """Tell whether only this machine can connect to what listens on that name, address or socket path."""
    if host == "localhost" or host.startswith("/"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def find(conf: SparkConf, environment: Mapping[str, str], home: Path) -> bytes | None:
    """Return the first secret in the order of the places, or None."""
    if conf.secret_file:
        return checked_secret(read_private(Path(conf.secret_file), MAX_SECRET_SIZE), conf.secret_file)
    if environment.get(SECRET_VARIABLE):
        # The bytes of the environment, whatever the locale made of them.
        return checked_secret(os.fsencode(environment[SECRET_VARIABLE]), SECRET_VARIABLE)
    path = home / ".minispark" / "secret"
    return checked_secret(read_private(path, MAX_SECRET_SIZE), str(path)) if path.exists() else None


def checked_secret(data: bytes, place: str) -> bytes:
    """Return a secret without the white space around it, so that an editor's last newline is no part of it."""
    secret = data.strip()
    if len(secret) < MIN_SECRET_SIZE:
        raise ConfigurationError(
            f"the secret in {place} has {len(secret)} bytes, at least {MIN_SECRET_SIZE} are needed; "
            "`openssl rand -hex 32` makes one"
        )
    return secret


def read_private(path: Path, limit: int) -> bytes:
    """Return what is in a file that belongs to this user and that nobody else can read.

    What was opened is what is checked, so that the file cannot be exchanged in between.

    Raises:
        ConfigurationError: it cannot be read, is no file, is not this user's, is readable by others, or is too large.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)  # a pipe must not hold the start
    except OSError as error:
        raise ConfigurationError(f"cannot read {path}: {error.strerror}") from None
    with open(fd, "rb") as file:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            raise ConfigurationError(f"{path} is not a file")
        if status.st_uid != os.geteuid():
            raise ConfigurationError(
                f"{path} belongs to user {status.st_uid}, not to user {os.geteuid()}, who runs this: copy it"
            )
        if status.st_mode & 0o077:
            raise ConfigurationError(f"{path} can be read by others: `chmod 600 {path}`")
        data = file.read(limit + 1)
    if len(data) > limit:
        raise ConfigurationError(f"{path} has more than {limit} bytes: it is no such file")
    return data


def make_secret(path: Path) -> bytes:
    """Make a secret in a file that was never there half, and return it; of several makers one wins.

    Raises:
        ConfigurationError: the file cannot be written.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fd, draft = tempfile.mkstemp(dir=path.parent, prefix=".secret-")  # 0600 from its first moment
        try:
            with open(fd, "wb") as file:
                file.write(os.urandom(MADE_SECRET_SIZE).hex().encode() + b"\n")
                file.flush()
                os.fsync(fd)
            with contextlib.suppress(FileExistsError):  # another daemon was first: its secret is the one
                os.link(draft, path)
        finally:
            os.unlink(draft)
    except OSError as error:
        raise ConfigurationError(f"cannot make a secret in {path}: {error.strerror}; {HOW_TO}") from None
    return checked_secret(read_private(path, MAX_SECRET_SIZE), str(path))


def tls_contexts(conf: SparkConf) -> TlsContexts:
    """Return the contexts of `minispark.ssl.*`; without a certificate there are none.

    Both sides show certificates, and both check them: the authority's name on it, and that a server is the host that
    was dialled (`minispark.ssl.checkHostNames`).

    Raises:
        ConfigurationError: a part is missing, or a file is wrong; the message names it.
    """
    if not conf.ssl_certificate:
        if conf.ssl_key or conf.ssl_authority:
            raise ConfigurationError("minispark.ssl.certificateFile is needed too: without it there is no TLS")
        return TlsContexts()
    if not conf.ssl_authority:
        raise ConfigurationError("minispark.ssl.authorityFile is needed too: it says whose certificates are believed")
    server, client = (load(conf, side) for side in (ssl.PROTOCOL_TLS_SERVER, ssl.PROTOCOL_TLS_CLIENT))
    client.check_hostname = conf.ssl_check_host_names
    return TlsContexts(server, client)


def load(conf: SparkConf, protocol: int) -> ssl.SSLContext:
    """Make the context of one side."""
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    key = conf.ssl_key or conf.ssl_certificate
    read_private(Path(key), 1 << 20)
    try:
        context.load_cert_chain(conf.ssl_certificate, key, password=refuse_passphrase)
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError(f"cannot use {conf.ssl_certificate} with the key {key}: {reason(error)}") from None
    try:
        context.load_verify_locations(conf.ssl_authority)
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError(f"cannot use the authority {conf.ssl_authority}: {reason(error)}") from None
    context.verify_mode = ssl.CERT_REQUIRED
    return context


def refuse_passphrase() -> str:
    """Refuse a key with a passphrase, for which OpenSSL would ask at a terminal that a daemon does not have."""
    raise ConfigurationError("the key of minispark.ssl.* needs a passphrase, which nobody is there to type")


def reason(error: OSError) -> str:
    """Return what is wrong in words, not in numbers."""
    return error.strerror or str(error)
