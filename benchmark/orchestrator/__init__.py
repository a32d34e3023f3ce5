"""From a grid to finished trials: expansion, what is left to do, Ray Tune, progress."""
