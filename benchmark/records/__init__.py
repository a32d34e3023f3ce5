"""What trials leave behind: schema, atomic store, environment, the pandas view."""
