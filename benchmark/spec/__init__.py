"""What a trial is: grids, recipes, protocols, backbones, requests and ids. Pure data, no torch."""
