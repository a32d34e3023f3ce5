"""Which trials are left to run and what they cost: expansion, states, operations, estimates, packing, budget."""
