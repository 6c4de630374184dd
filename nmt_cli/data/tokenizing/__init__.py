"""How a tokenizer is made: learned, taken over from SentencePiece, or extended."""
