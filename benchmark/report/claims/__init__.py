"""The paper's claims and what records say of them."""
