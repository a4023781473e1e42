"""The error codes that TensorFlow and gRPC share, and the HTTP statuses they become."""

from tfrecs.serving.c_api import SessionError

OK = 0
INVALID_ARGUMENT = 3
DEADLINE_EXCEEDED = 4
NOT_FOUND = 5
RESOURCE_EXHAUSTED = 8
FAILED_PRECONDITION = 9
UNIMPLEMENTED = 12
INTERNAL = 13
UNAVAILABLE = 14

NAMES = {
    0: "OK",
    1: "CANCELLED",
    2: "UNKNOWN",
    3: "INVALID_ARGUMENT",
    4: "DEADLINE_EXCEEDED",
    5: "NOT_FOUND",
    6: "ALREADY_EXISTS",
    7: "PERMISSION_DENIED",
    8: "RESOURCE_EXHAUSTED",
    9: "FAILED_PRECONDITION",
    10: "ABORTED",
    11: "OUT_OF_RANGE",
    12: "UNIMPLEMENTED",
    13: "INTERNAL",
    14: "UNAVAILABLE",
    15: "DATA_LOSS",
    16: "UNAUTHENTICATED",
}
# ToHTTPStatusCode of TensorFlow Serving's http_server.cc; 500 for the others
_HTTP = {0: 200, 1: 499, 3: 400, 4: 504, 5: 404, 6: 409, 7: 403, 8: 429, 9: 400, 10: 409, 11: 400}
_HTTP |= {12: 501, 14: 503, 16: 401}


def code_of(error: BaseException) -> int:
    """Returns the code of an error: TensorFlow's own, or INVALID_ARGUMENT for a bad value."""
    if isinstance(error, SessionError):
        return error.code
    if isinstance(error, ValueError | RecursionError | UnicodeError):
        return INVALID_ARGUMENT
    return RESOURCE_EXHAUSTED if isinstance(error, MemoryError) else INTERNAL


def http_status(code: int) -> int:
    """Returns the HTTP status of a code.

    Example:

    >>> http_status(NOT_FOUND), http_status(INTERNAL)
    (404, 500)
    """
    return _HTTP.get(code, 500)
