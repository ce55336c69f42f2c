"""Record batches of a log to records, of which none costs another."""
