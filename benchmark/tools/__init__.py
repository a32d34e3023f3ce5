"""Work beside running grids: parity with the official implementations, parameter counts, downloads."""
