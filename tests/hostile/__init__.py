"""`make hostile`: good messages among hostile ones, with exactly once on a real broker and a real Ray.

A fifth of the messages is anything that a producer of the input topic could send: see `kinds`. The judge knows each
input. A good message must have exactly one result, with the engine's label. A hostile one must become a dead letter
with a reason of its kind, or have a result where that is right. The report has the workers' memory with its bound,
restarts, and the latency of good messages compared with a phase without hostile ones.

Exits with 1 for a lost, duplicated or wrong message, a good message in a dead letter, or memory above its bound.
"""
