"""What the paper and its official code say, and the layout of tables and figures. Data only."""
