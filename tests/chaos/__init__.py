"""The proof of delivery: a stream under a seeded schedule of faults, and a verifier that knows every input."""
