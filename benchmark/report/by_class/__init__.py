"""Results of table cells by class, from the stored predictions of the reported epoch."""
