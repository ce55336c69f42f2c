"""`make soak`: a million messages through a real broker and a real Ray, with a model that takes no time.

Two questions: is anything lost or twice over a long run, and does the memory of worker and replica stay where it is?
Answers are counted by their input's partition and offset, in one bit each, so that the counting itself stays small.
Memory is sampled each second; its slope is that of the least squares, in MiB per million messages, once what is made
at the beginning is made (caches, pools: the first quarter does not count).
"""
