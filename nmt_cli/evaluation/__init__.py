"""Text → numbers: metrics over strings, of any system."""
