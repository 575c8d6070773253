"""Programs that run inside environments: nothing here is imported by the server.

`python.py` and `node.mjs` are our runtimes for managed languages. They may use only the standard
library of any supported version (Python 3.8 and later, Node.js 16 and later).
"""
