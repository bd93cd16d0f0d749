"""A FastAPI service without operation ids of its own. `fastapi.json` is its document: to make it anew,
run this file with a Python that has FastAPI and python-multipart, without arguments. With a port it serves.
"""

import json
import sys
from enum import Enum
from typing import Annotated

from fastapi import Cookie, FastAPI, File, Form, Header, HTTPException, Query, Request, UploadFile
from fastapi.responses import HTMLResponse, Response
from pydantic import BaseModel


class Color(str, Enum):
    red = "red"
    green = "green"


class Item(BaseModel):
    name: str
    color: Color = Color.red
    tags: list[str] = []


app = FastAPI(title="Shop", version="1")


@app.get("/items/{item_id}")
def read_item(item_id: str, q: Annotated[list[str] | None, Query()] = None, color: Color = Color.red):
    """Reads an item."""
    return {"item_id": item_id, "q": q, "color": color}


@app.put("/items/{item_id}")
def update_item(item_id: str, item: Item):
    return {"item_id": item_id, "item": item}


@app.delete("/items/{item_id}")
def delete_item(item_id: str, x_reason: Annotated[str | None, Header()] = None, session: Annotated[str | None, Cookie()] = None):
    if item_id == "forbidden":
        raise HTTPException(403, "item `forbidden` stays")
    return {"deleted": item_id, "reason": x_reason, "session": session}


@app.post("/items/")
def create_item(item: Item):
    return item


@app.patch("/items/")
def patch_items(items: list[Item]):
    return len(items)


@app.post("/upload")
async def upload(file: UploadFile, note: Annotated[str, Form()], more: Annotated[list[UploadFile], File()] = []):
    size = len(await file.read())
    return {"name": file.filename, "type": file.content_type, "size": size, "note": note, "more": len(more)}


@app.post("/login")
def login(user: Annotated[str, Form()], roles: Annotated[list[str], Form()] = []):
    return {"user": user, "roles": roles}


@app.get("/page", response_class=HTMLResponse)
def page():
    return "<h1>Hello</h1>"


@app.get("/raw")
def raw(request: Request):
    return Response(b"\x00\x01\xff", media_type="application/octet-stream")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        import uvicorn

        uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]))
    else:
        json.dump(app.openapi(), sys.stdout, indent=1)
        print()
