"""Holds this suite against numbers that the official implementations computed (golden files)."""
