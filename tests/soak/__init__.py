"""`make soak`: a million messages through a real broker and a real Ray, with a model that takes no time.

Checks that nothing is lost or duplicated in a long run, and that the memory of worker and replica does not grow.
Answers are marked in one bit each by input partition and offset, so that the test itself needs little memory. Memory is
sampled each second. The slope is that of least squares in MiB per million messages, without the first quarter, in which
caches and pools fill.
"""
