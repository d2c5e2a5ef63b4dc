"""Programs to read and run: `python examples/word_count.py`. All run in the tests."""
