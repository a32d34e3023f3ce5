"""Hyper-parameter search on validation data: space, sampler, history."""
