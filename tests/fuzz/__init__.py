"""`make fuzz`: inputs that nobody thought of, against what has to hold for each input.

A target is a function that takes one input and raises where something does not hold. There are two kinds:

* BYTES (`values`, `logs`): the input is bytes. atheris (libFuzzer) changes them, led by the lines of ours that they
  reach: 10,000 to 40,000 inputs a second. Where atheris has no wheel, hypothesis makes the bytes.
* DRAWN (`logs`, `answers`, `long`): hypothesis draws batches, messages, answers and headers whole, which changes of
  bytes would hardly find, and compares with a second reader: kafka-python's, Python's json, the schemas.

Each input has bounds of time and memory as well (`bounds`). A finding is printed with the seed, and bytes as a file:
`python -m tests.fuzz --target NAME --replay FILE`. Put the file into `cases/NAME/`, where tests/unit/fuzz reads it.
"""
