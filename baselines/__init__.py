"""One file per fine-tuning method; see `benchmark.methods.Method` for the contract."""
