#!/usr/bin/env python3
"""An MCP server that takes its time and says so: FastMCP of the official SDK, over any transport.

    count.py stdio | http PORT | sse PORT

`steps` reports progress, `say` writes log messages; both name the label they were given, so that one can tell in
which chat each of their words belongs.
"""

import sys

import anyio
from mcp.server.fastmcp import Context, FastMCP

kind = sys.argv[1]
server = FastMCP("count", host="127.0.0.1", port=int(sys.argv[2]) if kind != "stdio" else 0, log_level="WARNING")


@server.tool()
async def steps(label: str, count: int, pause: float, ctx: Context) -> str:
    """Counts aloud"""
    for number in range(1, count + 1):
        await ctx.report_progress(number, count, f"{label} step {number}")
        await anyio.sleep(pause)
    return f"{label} counted to {count}"


@server.tool()
async def say(label: str, count: int, pause: float, ctx: Context) -> str:
    """Counts into its log"""
    for number in range(1, count + 1):
        await ctx.info(f"{label} is at {number}")
        await anyio.sleep(pause)
    return f"{label} said {count}"


@server.tool()
async def trip(label: str, count: int, pause: float, ctx: Context) -> str:
    """Counts aloud and then fails"""
    await steps(label, count, pause, ctx)
    raise ValueError(f"{label} tripped")


server.run({"stdio": "stdio", "http": "streamable-http", "sse": "sse"}[kind])
