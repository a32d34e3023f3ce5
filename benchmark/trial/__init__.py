"""One trial end to end: seeds, model, loop, evaluation, profile, record."""
