"""The command line, and the only composition root: everything is put together in `serve.py`.

May import everything; nothing imports it. Read first: `main.py`.
"""
