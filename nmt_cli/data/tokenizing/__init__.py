"""Make tokenizers: train them, import them from SentencePiece, or extend them."""
