"""Settings of every test run, made before minispark is imported.

Messages are frozen, local delivery goes through bytes, and records that are kept are compared after each task.
"""

import os

os.environ["MINISPARK_FROZEN_RECORDS"] = "1"
os.environ["MINISPARK_RPC_LOOPBACKENCODE"] = "true"
os.environ["MINISPARK_STORAGE_CHECKMUTATION"] = "true"
