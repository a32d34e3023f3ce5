"""The use-cases as plain functions, one file each: what a script or a notebook calls, and what the command line calls.

`import benchmark` offers the main ones as `benchmark.run`, `benchmark.plan` and so on.

Every function here
- raises `benchmark.errors.BenchmarkError` for a mistake of the user,
- prints nothing to stdout. Progress goes to the `console` argument, by default a console on stderr. To silence it,
  pass `rich.console.Console(quiet=True)`.
- uses loggers named `benchmark.*`, which show nothing until the caller configures `logging`.
"""
