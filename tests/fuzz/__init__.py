"""`make fuzz`: random inputs, each checked against properties that must hold for every input.

A target is a function that takes one input and raises if a property does not hold. There are two kinds:

* BYTES (`values`, `records`, `logs`): the input is bytes. atheris (libFuzzer) mutates them, guided by coverage of
  Labelstream's code: 10,000 to 40,000 inputs per second. Without a wheel of atheris, hypothesis makes the bytes.
* DRAWN (`logs`, `answers`, `long`): hypothesis draws whole batches, messages, answers and headers, which mutated bytes
  rarely reach, and compares with a second reader: kafka-python's, Python's json, the schemas.

Each input also has bounds of time and memory (`bounds`). A finding is printed with its seed, and bytes are saved:
`python -m tests.fuzz --target NAME --replay FILE`. Put the file into `cases/NAME/`, where tests/unit/fuzz reads it.
"""
