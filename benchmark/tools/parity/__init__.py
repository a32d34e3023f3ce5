"""Compare this suite with numbers that the official implementations computed (golden files)."""
