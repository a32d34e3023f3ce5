"""The command line: one file per command, which parses, calls `benchmark.api` and prints.

Heavy imports happen inside the commands, so that `--help` stays quick.
"""
