"""The command line: one file per command, thin. Heavy imports happen inside the commands."""
