"""One file per table: its rows and its text."""
