"""Read lines, normalise them, split them into words, and check pairs of them."""
