"""Tables, figures, claims and the page, from the records alone: without torch and without data."""
