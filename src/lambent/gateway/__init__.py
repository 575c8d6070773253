"""HTTP in: which service a request is for, and the control addresses below `/_lambent/`.

May import: kernel and below; sees the registry, never a service. Read first: `routing.py`.
"""
