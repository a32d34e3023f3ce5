"""What is left to do and what it costs: expansion, states, operations, estimates, packing, budget."""
