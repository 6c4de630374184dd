"""Text → batches: corpora, tokenizer, prepared data, batches."""
