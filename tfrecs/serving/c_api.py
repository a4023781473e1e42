"""TensorFlow's C API (tensorflow/c/c_api.h) by ctypes: stdlib and numpy alone."""

import ctypes
import functools
import importlib.util
import math
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING or __package__:
    from tfrecs.serving.meta_graph import STRING
else:  # run by path
    from meta_graph import STRING

_STRING_BYTES = 24  # sizeof(TF_TString)
# functions with the types of their result and arguments
_C_TYPES: dict[str, Any] = {
    "v": None,
    "p": ctypes.c_void_p,
    "s": ctypes.c_char_p,
    "i": ctypes.c_int,
    "l": ctypes.c_int64,  # also size_t
}
_C_API = (
    "NewStatus:p DeleteStatus:vp GetCode:ip Message:sp LoadLibrary:psp NewGraph:p DeleteGraph:vp "
    "NewBuffer:p DeleteBuffer:vp "
    "NewSessionOptions:p DeleteSessionOptions:vp CloseSession:vpp "
    "LoadSessionFromSavedModel:pppspippp DeleteSession:vpp GraphOperationByName:pps "
    "SessionRun:vppppippipipp AllocateTensor:pipil DeleteTensor:vp TensorData:pp "
    "NumDims:ip Dim:lpi StringInit:vp StringCopy:vpsl StringGetDataPointer:pp StringGetSize:lp"
)


_SLOW = ("LoadLibrary", "LoadSessionFromSavedModel", "SessionRun", "CloseSession", "DeleteSession")
UNKNOWN = 2  # of the error codes that TensorFlow and gRPC share


class SessionError(RuntimeError):
    """TensorFlow refused to load the model or to run it.

    Args:
        message: What it said.
        code: Its error code (absl::StatusCode), such as 3 for INVALID_ARGUMENT.
    """

    def __init__(self, message: str, code: int = UNKNOWN) -> None:
        super().__init__(message)
        self.code = code


class Output(ctypes.Structure):
    _fields_ = (("operation", ctypes.c_void_p), ("index", ctypes.c_int))


class Buffer(ctypes.Structure):
    _fields_ = (("data", ctypes.c_void_p), ("length", ctypes.c_size_t), ("free", ctypes.c_void_p))


def package(name: str) -> Path:
    """Finds an installed package without importing it."""
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise SessionError(f"{name} is not installed. Run `pip install {name}`.")
    return Path(spec.submodule_search_locations[0])


def shared_library(part: str) -> Path:
    """Returns the path of a part of TensorFlow's library, "framework" or "cc".

    Wheels for Linux and macOS hold it under other names; those for Windows do not hold it.
    """
    root = package("tensorflow")
    names = (f"libtensorflow_{part}.so.2", f"libtensorflow_{part}.2.dylib")
    for name in names:
        if (root / name).is_file():
            return root / name
    raise SessionError(
        f"{root} holds neither {names[0]} (Linux) nor {names[1]} (macOS), so that TensorFlow's C "
        f"API cannot be called ({sys.platform}). Ask the SavedModel from Python, by "
        "tf.saved_model.load, or serve it with TensorFlow Serving."
    )


@functools.cache
def library() -> SimpleNamespace:
    """Opens TensorFlow's shared libraries and declares the functions used here.

    Slow functions release Python's lock; the others keep it: a thread that gives it away for a
    microsecond may have to wait for it through another's switch interval, 5 milliseconds.
    """
    ctypes.CDLL(str(shared_library("framework")), mode=ctypes.RTLD_GLOBAL)
    path = str(shared_library("cc"))
    slow = ctypes.CDLL(path, mode=ctypes.RTLD_GLOBAL)
    quick = ctypes.PyDLL(path, mode=ctypes.RTLD_GLOBAL)
    functions = SimpleNamespace()
    for declaration in _C_API.split():
        name, types = declaration.split(":")
        function = getattr(slow if name in _SLOW else quick, f"TF_{name}")
        function.restype, *function.argtypes = [_C_TYPES[letter] for letter in types]
        setattr(functions, f"TF_{name}", function)
    return functions


def feed(tf: SimpleNamespace, array: np.ndarray[Any, Any], code: int) -> int:
    """Copies an array into a new tensor, which frees its strings with itself."""
    size = _STRING_BYTES * array.size if code == STRING else array.nbytes
    shape = (ctypes.c_int64 * array.ndim)(*array.shape)
    tensor: int = tf.TF_AllocateTensor(code, shape, array.ndim, size)
    start = tf.TF_TensorData(tensor)
    if code != STRING:
        ctypes.memmove(start, array.ctypes.data, size)
        return tensor
    for place, text in enumerate(array.flat):
        tf.TF_StringInit(start + _STRING_BYTES * place)
        tf.TF_StringCopy(start + _STRING_BYTES * place, text, len(text))
    return tensor


def fetch(tf: SimpleNamespace, tensor: int, dtype: str) -> np.ndarray[Any, Any]:
    """Reads a tensor into an array and frees it."""
    shape = [tf.TF_Dim(tensor, axis) for axis in range(tf.TF_NumDims(tensor))]
    start, strings = tf.TF_TensorData(tensor), dtype == "string"
    flat: np.ndarray[Any, Any] = np.empty(math.prod(shape), object if strings else dtype)
    if strings:
        for place in range(flat.size):
            text = start + _STRING_BYTES * place
            size = tf.TF_StringGetSize(text)
            flat[place] = ctypes.string_at(tf.TF_StringGetDataPointer(text), size)
    else:
        ctypes.memmove(flat.ctypes.data, start, flat.nbytes)
    tf.TF_DeleteTensor(tensor)
    return flat.reshape(shape)


def as_lists(array: np.ndarray[Any, Any]) -> Any:
    """Returns nested lists; bytes become `str`, with a replacement where they are no UTF-8."""
    if array.dtype == object:
        texts = np.empty(array.size, object)
        texts[:] = [text.decode(errors="replace") for text in array.flat]
        array = texts.reshape(array.shape)
    return array.tolist()
