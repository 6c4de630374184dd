"""Numbers → inline SVG, that needs no script and follows the colours of the page."""
