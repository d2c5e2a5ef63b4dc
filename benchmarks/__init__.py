"""One module per question about speed, each measured against the same dataflow by hand in bare Python.

`python -m benchmarks NAME [--json] [--quick]`; without a name all run. Every module has `run(quick) -> Result`.
"""
