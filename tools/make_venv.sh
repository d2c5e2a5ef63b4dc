#!/bin/sh
# Creates the virtual environment with minispark and its development tools: make_venv.sh PYTHON DIRECTORY
set -eu
python=$1
venv=$2

if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        apt-get update -q && apt-get install -qy --no-install-recommends python3 python3-venv
        python=python3
    fi
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
        echo "minispark needs Python 3.11 or newer; say which one with: make PYTHON=/path/to/python3.11" >&2
        exit 1
    }
fi

# Debian ships Python without ensurepip; its package brings it.
if ! "$python" -c 'import ensurepip' 2>/dev/null && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    apt-get update -q && apt-get install -qy --no-install-recommends python3-venv
fi

"$python" -m venv "$venv"
"$venv/bin/python" -m pip install -q --disable-pip-version-check -e '.[dev]'
