"""Run trials with Ray Tune: start Ray, hand out trials, show progress, collect results, stop."""
