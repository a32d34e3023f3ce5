"""A results store: records of several submitters, checked, in a folder meant to be a git repository."""
