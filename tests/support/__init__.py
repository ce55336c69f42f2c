"""What tests share: fakes, models, helpers on a real broker."""
