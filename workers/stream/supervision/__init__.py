"""Is the worker healthy, what does an operator want, when does it restart?"""
