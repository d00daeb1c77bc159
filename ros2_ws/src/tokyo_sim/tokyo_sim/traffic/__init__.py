"""Moving traffic on the roads of an imported city."""
