"""The Transformer with its adaptation sites, and what goes into it."""
