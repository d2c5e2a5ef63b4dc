"""What a developer runs beside the tests: `python -m tools.parity`, `python -m tools.configuration`."""
