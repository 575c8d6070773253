"""The box that user code runs in; knows no AWS service, only how to run code and talk to it.

May import: net, base. Read first: `box.py` (the protocol), then `process.py`.
"""

from lambent.sandbox.box import Sandbox as Sandbox
from lambent.sandbox.levels import open_sandbox as open_sandbox
