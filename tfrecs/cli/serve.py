"""`tfrecs serve`: folders of SavedModels by TensorFlow Serving's interfaces."""

from pathlib import Path
from typing import Annotated

import typer

from tfrecs.cli.options import console


def serve(
    saved_models: Annotated[
        Path, typer.Argument(help="Folder of models, or of the versions of one")
    ] = Path("saved_models"),
    host: Annotated[str, typer.Option(help="0.0.0.0 listens on every address")] = "127.0.0.1",
    grpc_port: Annotated[int, typer.Option(help="Of gRPC; 0 takes a free one")] = 8500,
    rest_port: Annotated[int, typer.Option(help="Of REST and the page; 0 takes a free one")] = 8501,
    timeout: Annotated[
        float, typer.Option(help="Seconds that a request may wait for its turn")
    ] = 10,
    max_request_mb: Annotated[int, typer.Option(help="Greatest request, MiB")] = 32,
    max_batch_rows: Annotated[int, typer.Option(help="Rows of a batch of several requests")] = 256,
    poll_seconds: Annotated[float, typer.Option(help="How often to look for new versions")] = 2,
) -> None:
    """Serve exported models by TF Serving's gRPC and REST; new versions take over by themselves."""
    try:
        from tfrecs.serving.server import Server
    except ImportError as error:
        raise ImportError(f"{error}. Run `pip install 'tfrecs[serving]'`.") from error
    from tfrecs.serving.service import Limits, find_models

    limits = Limits(max_request_mb * 2**20, timeout, max_batch_rows)
    server = Server(
        find_models(saved_models),
        host=host,
        grpc_port=grpc_port,
        rest_port=rest_port,
        limits=limits,
        poll_seconds=poll_seconds,
    ).start()
    for name, model in server.service.models.items():
        console.print(f"  {name}: {'version ' + str(model.served) if model.served else 'none yet'}")
    console.print(f"  page and REST  http://{host}:{server.rest_port}/")
    console.print(f"  gRPC           {host}:{server.grpc_port}")
    console.print("For a laptop and for tests; production is TensorFlow Serving. Ctrl-C stops.")
    if not server.run(timeout):
        raise RuntimeError("Requests still ran when the server stopped.")
