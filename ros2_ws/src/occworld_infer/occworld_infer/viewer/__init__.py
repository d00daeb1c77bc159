"""The browser view: sources give snapshots, a timeline keeps them, one page shows them."""
