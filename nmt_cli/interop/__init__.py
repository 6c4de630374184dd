"""Import models of other toolkits, and export models to them."""
