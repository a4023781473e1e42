"""Asking exported models without tfrecs, through TensorFlow's C API; and a server upon it.

`Session` runs a SavedModel; `server.Server` (`tfrecs serve`) offers folders of them by the gRPC and
REST interfaces of TensorFlow Serving, which is what production should run.
"""

from tfrecs.serving.c_api import SessionError as SessionError
from tfrecs.serving.session import Session as Session
