"""The `microvm` level: a virtual machine per environment, restored from a snapshot.

Read first: `sandbox.py`, then `guest.py` (what runs inside) and `link.py` (what joins the two).
"""

from lambent.sandbox.microvm.sandbox import MicrovmSandbox as MicrovmSandbox
