"""Report of a training run as a self-contained HTML page."""
