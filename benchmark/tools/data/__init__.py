"""Prepare, verify, measure and describe datasets."""
