"""`make demo`: the whole loop on one machine, and a report of what came of it."""
