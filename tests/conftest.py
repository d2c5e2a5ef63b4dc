"""Settings of every test run, made before minispark is imported.

Messages are frozen, local delivery goes through bytes, and records that are kept are compared after each task.
"""

import os
import signal

from hypothesis import settings

os.environ["MINISPARK_FROZEN_RECORDS"] = "1"
os.environ["MINISPARK_RPC_LOOPBACKENCODE"] = "true"
os.environ["MINISPARK_STORAGE_CHECKMUTATION"] = "true"

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell starts so what it puts in the background; every process of a test would inherit it, deaf to Ctrl-C.
    signal.signal(signal.SIGINT, signal.default_int_handler)

settings.register_profile("minispark", deadline=None)  # what a loaded machine takes for an example says nothing
settings.load_profile("minispark")
