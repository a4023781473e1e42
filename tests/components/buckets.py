"""An S3 of this machine: what speaks to buckets is tested against a server that answers."""

from moto.server import ThreadedMotoServer
from pyarrow import fs


def serve():
    """Starts a server with the bucket "bucket" and gives it and the options of its URIs."""
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    options = f"?region=us-east-1&scheme=http&endpoint_override={host}:{port}"
    system, path = fs.FileSystem.from_uri(f"s3://bucket{options}&allow_bucket_creation=true")
    system.create_dir(path)
    return server, options
