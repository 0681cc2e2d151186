"""Object stores as separate servers: Azurite for Azure's blobs, moto for S3."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
import warnings
from pathlib import Path
from typing import Any

import pytest

# Every Azurite has this account and key: https://github.com/Azure/Azurite#default-storage-account
ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="

CONTAINER = BUCKET = "mnist"
PRIVATE = "private"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def wait_for_port(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise
            time.sleep(0.05)


class Azurite:
    """Azure Blob Storage's emulator, with the files in a container that anyone may read."""

    def __init__(self, files: list[Path]) -> None:
        blob = pytest.importorskip("azure.storage.blob")
        pytest.importorskip("adlfs")
        program = shutil.which("azurite-blob")
        if program is None:
            pytest.skip("no azurite-blob on the PATH: npm install azurite")
        port = free_port()
        self.address = f"http://127.0.0.1:{port}/{ACCOUNT}"
        self.connection_string = (
            f"DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={KEY};"
            f"BlobEndpoint={self.address};"
        )
        # Without --disableTelemetry it would call out.
        options = ["--silent", "--disableTelemetry"]
        options += ["--inMemoryPersistence", "--skipApiVersionCheck"]
        self._process = subprocess.Popen(
            [program, *options, "--blobHost", "127.0.0.1", "--blobPort", str(port)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            wait_for_port(port, self._process)
            with blob.BlobServiceClient.from_connection_string(self.connection_string) as service:
                container = service.create_container(
                    CONTAINER, public_access=blob.PublicAccess.BLOB
                )
                for path in files:
                    container.upload_blob(path.name, path.read_bytes())
                service.create_container(PRIVATE).upload_blob("file", b"")
        except BaseException:
            self.stop()
            raise

    @property
    def storage_options(self) -> dict[str, Any]:
        return {"connection_string": self.connection_string}

    def put(self, name: str, content: bytes) -> str:
        """Store a blob, in place of another if need be; returns its URL."""
        from azure.storage.blob import BlobClient

        with BlobClient.from_connection_string(self.connection_string, CONTAINER, name) as client:
            client.upload_blob(content, overwrite=True)
        return f"abfs://{CONTAINER}/{name}"

    def stop(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


class S3:
    """moto's S3, in a thread, with the files in a bucket."""

    def __init__(self, files: list[Path]) -> None:
        pytest.importorskip("s3fs")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what moto imports
            server = pytest.importorskip("moto.server")
        self._server = server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        self._server.start()
        host, port = self._server.get_host_and_port()
        self.storage_options: dict[str, Any] = {
            "key": "test",
            "secret": "test",
            "endpoint_url": f"http://{host}:{port}",
            "client_kwargs": {"region_name": "us-east-1"},
        }
        try:
            self._client().create_bucket(Bucket=BUCKET)
            for path in files:
                self.put(path.name, path.read_bytes())
        except BaseException:
            self.stop()
            raise

    def put(self, name: str, content: bytes) -> str:
        """Store an object, in place of another if need be; returns its URL."""
        self._client().put_object(Bucket=BUCKET, Key=name, Body=content)
        return f"s3://{BUCKET}/{name}"

    def stop(self) -> None:
        self._server.stop()

    def _client(self) -> Any:
        import boto3

        return boto3.client(
            "s3",
            endpoint_url=self.storage_options["endpoint_url"],
            aws_access_key_id="test",
            aws_secret_access_key="test",
            region_name="us-east-1",
        )
