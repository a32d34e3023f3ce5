"""The claims of the paper, and whether the records support them."""
