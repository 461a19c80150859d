"""uvicorn doing nothing: a bare ASGI application that takes a request and says 204. `uvicorn_bare.py PORT`"""

import sys
from typing import Any

import uvicorn

START = {"type": "http.response.start", "status": 204, "headers": []}
END = {"type": "http.response.body", "body": b""}


async def nothing(scope: Any, receive: Any, send: Any) -> None:
    while (await receive()).get("more_body"):
        pass
    await send(START)
    await send(END)


if __name__ == "__main__":
    uvicorn.run(nothing, host="127.0.0.1", port=int(sys.argv[1]), loop="uvloop", http="httptools", lifespan="off",
                log_level="warning", access_log=False)  # fmt: skip
