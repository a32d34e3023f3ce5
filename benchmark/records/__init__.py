"""Records of trials: schema, store of a results folder, leases, environment, and the pandas view."""
