"""For the worker's loop: is it healthy, what does an operator want, how long to wait before a restart?"""
