"""Metrics and their parts, with numpy alone: training computes them, reports take them apart."""
