"""What the street looks like three seconds from now, live."""
