"""`python -m minispark`: the command line, for interpreters whose scripts are not on the PATH."""

from minispark.cli.main import main

if __name__ == "__main__":
    main(prog_name="minispark")
