"""Tables and figures from records alone; no torch, no data."""
