"""Settings of every test run, made before minispark is imported: frozen messages, local delivery through bytes."""

import os

os.environ["MINISPARK_FROZEN_RECORDS"] = "1"
os.environ["MINISPARK_RPC_LOOPBACKENCODE"] = "true"
