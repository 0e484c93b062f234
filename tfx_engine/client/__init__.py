"""The one way to the engine, for the window and the command line alike: starts a service as a child and talks to it.

    with Client(store, on_disconnect="stop", on_notice=print) as client:
        runs = client.submit([{"name": "tiny", "model": {"width": 16}}])

No Qt and no torch. Callbacks come on a thread of the client; the blocking methods must not be called from them.
"""

from tfx_engine.client.client import Client, OnNotice, OnReply
from tfx_engine.client.connection import ServiceGone
from tfx_engine.client.orders import control

__all__ = ["Client", "OnNotice", "OnReply", "ServiceGone", "control"]
