"""A worker's life as its registry sees it: registers, heartbeats, is listed, deregisters.

What is sent is what workers of the fleet send: an asynchronous client per call with a timeout of
5 s, `json=` bodies, and a DELETE with a body.
"""

import asyncio
import os
import socket
import sys

import httpx

NAME = "python-pool"


async def call(method, url, **arguments):
    async with httpx.AsyncClient(timeout=5.0) as client:
        response = await client.request(method, url, **arguments)
    assert response.status_code == 200, (method, url, response.status_code, response.text)
    assert response.headers["content-type"] == "application/json", response.headers
    return response.json()


async def main(server):
    api = f"{server}/api"
    body = {
        "name": NAME,
        "runtime": "cpu",
        "base_url": "http://queue-worker",
        "status": "ready",
        "capacity": None,
        "labels": ["local", "dev"],
        "pid": os.getpid(),
        "hostname": socket.gethostname(),
        "meta": {"namespace": None, "worker_id": "w-1"},
    }
    unknown = await call("POST", f"{api}/worker/pool/heartbeat", json={"name": NAME})
    assert unknown == {"status": "unknown", "name": NAME}, unknown
    registered = await call("POST", f"{api}/worker/pool/register", json=body)
    runtime_id = registered.pop("runtime_id")
    assert isinstance(runtime_id, int)
    assert registered == {"status": "ok", "name": NAME, "runtime": "cpu"}, registered
    for _ in range(3):
        beat = await call("POST", f"{api}/worker/pool/heartbeat", json={"name": NAME})
        assert beat == {"status": "ok", "name": NAME}, beat
    pools = await call("GET", f"{api}/worker/pools", params={"runtime": "cpu", "status": "ready"})
    assert pools["count"] == len(pools["items"]), pools
    (pool,) = [item for item in pools["items"] if item["name"] == NAME]
    assert pool["labels"] == ["local", "dev"] and pool["capacity"] is None, pool
    components = await call("GET", f"{api}/metrics/components")
    (component,) = [one for one in components["components"] if one["name"] == NAME]
    assert component["runtime_id"] == runtime_id, component
    assert component["component_type"] == "worker_pool", component
    left = await call("DELETE", f"{api}/worker/pool/deregister", json={"name": NAME})
    assert left == {"status": "ok", "name": NAME}, left
    pools = await call("GET", f"{api}/worker/pools", params={"status": "offline"})
    assert NAME in [item["name"] for item in pools["items"]], pools


asyncio.run(main(sys.argv[1]))
