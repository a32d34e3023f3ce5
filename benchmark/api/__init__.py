"""Use-cases as plain functions: what notebooks call, and what the command line parses for."""
