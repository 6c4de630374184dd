"""What is told of data, as text for a screen."""
