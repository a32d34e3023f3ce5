"""What a user does with datasets: prepare, verify, measure, describe."""
