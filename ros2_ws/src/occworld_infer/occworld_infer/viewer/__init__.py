"""The browser view: sources give moments, a film keeps them, one page shows them."""
