"""One trial from seeds to record: data, model, training, evaluation, resume state, profile."""
