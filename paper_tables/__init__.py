"""What papers and their official code say, a folder per paper, and the layout of tables and figures. Data only."""
