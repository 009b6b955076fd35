"""Runs in a pod: an S3 server that says yes to conditional writes and does not keep them.

It forwards to the real one, signed anew, without If-Match and If-None-Match.
"""

from __future__ import annotations

import os

import aiohttp
from aiohttp import web
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from yarl import URL

UPSTREAM = os.environ.get("UPSTREAM", "")
KEPT = {"range", "content-type", "content-md5"}
TOLD = ("ETag", "Content-Type", "Content-Range", "Last-Modified")


async def forward(request: web.Request) -> web.Response:
    """One request, whole."""
    body = await request.read()
    headers = {name: value for name, value in request.headers.items() if name.lower() in KEPT}
    signed = AWSRequest(request.method, UPSTREAM + request.raw_path, headers, body)
    credentials = Credentials(os.environ["ACCESS_KEY"], os.environ["SECRET_KEY"])
    S3SigV4Auth(credentials, "s3", "us-east-1").add_auth(signed)
    url = URL(UPSTREAM + request.raw_path, encoded=True)
    async with (
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=False)) as session,
        session.request(request.method, url, headers=dict(signed.headers.items()), data=body) as answer,
    ):
        told = {name: answer.headers[name] for name in TOLD if name in answer.headers}
        content = await answer.read()
    if request.method == "HEAD":
        told["Content-Length"] = answer.headers.get("Content-Length", "0")
    return web.Response(status=answer.status, headers=told, body=content)


if __name__ == "__main__":
    app = web.Application(client_max_size=64 * 1024 * 1024)
    app.router.add_route("*", "/{path:.*}", forward)
    web.run_app(app, port=7070, print=None)
