"""The box that user code runs in; knows no AWS service, only how to run code and talk to it.

May import: net, base. Read first: `box.py` (the protocol), then `forking.py` and its
levels `process.py` and `namespace/`.
"""

from lambent.sandbox.box import Doorway as Doorway
from lambent.sandbox.box import Sandbox as Sandbox
from lambent.sandbox.levels import open_sandbox as open_sandbox
