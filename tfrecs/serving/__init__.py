"""Asking exported models without tfrecs: TensorFlow's C API by ctypes."""

from tfrecs.serving.session import Session as Session
from tfrecs.serving.session import SessionError as SessionError
