"""The command line: `minispark COMMAND`, one small module per command."""
