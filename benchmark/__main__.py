"""Run the command line: `python -m benchmark`."""

from benchmark.cli.main import main

if __name__ == "__main__":
    main()
