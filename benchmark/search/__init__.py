"""Hyper-parameter search on validation data with Optuna: search space, training loop, history."""
