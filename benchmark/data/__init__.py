"""Datasets, decoding, front end, augmentation, synthetic audio."""
