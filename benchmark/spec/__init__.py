"""The description of a trial: grids, recipes, protocols, backbones, requests and ids. Pure data, no torch."""
