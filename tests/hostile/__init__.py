"""`make hostile`: good messages among hostile ones, on a real broker and a real Ray, exactly once.

A fifth of the messages is what whoever may write to the input topic could send: see `kinds`. The judge knows each
input: a good one must be answered once and only once, with the engine's own label; a hostile one must be a dead letter
with a reason of its kind, or be answered where that is right. It prints the workers' memory against a bound, restarts,
and the latency of the good messages beside that of a calm minute.

Exits with 1 when a message is lost, twice, wrong, a dead letter of somebody else's fault, or memory is over its bound.
"""
