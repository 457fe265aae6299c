"""The Community ID of each connection.

One text per row of table `schema.CONNECTIONS`, in its order, dtype object; each distinct tuple is hashed once.
"""

from __future__ import annotations

import socket
from base64 import b64encode
from hashlib import sha1
from typing import TYPE_CHECKING, Final

import numpy as np

from analyzer.connections.tuple_key import PORT_BITS, number_groups, pack

if TYPE_CHECKING:
    import pandas as pd

    from analyzer.connections.concat import Array
    from analyzer.connections.tuple_key import Ints

MAX_BATCH_ROWS: Final = 32_768
"""Rows that are converted to lists of Python values at a time."""
_SEED_0: Final = b"\0\0"
_TCP_AND_PADDING: Final = b"\x06\0"


def community_id(flows: pd.DataFrame) -> Array:
    """Return each connection's Community ID version 1, seed 0: `1:` and 28 characters. Incarnations of a tuple share it.

    Source: the Community ID flow hashing specification (Corelight), version 1.
    """
    low, high, addresses = address_codes(flows)
    packed = [socket.inet_pton(socket.AF_INET6 if ":" in text else socket.AF_INET, text) for text in addresses]
    rank = np.empty(len(packed), np.int64)
    rank[np.array(sorted(range(len(packed)), key=packed.__getitem__), np.int64)] = np.arange(len(packed))
    client, server = (flows[name].to_numpy().astype(np.int64) for name in ("client_port", "server_port"))
    one, other = rank[low] << PORT_BITS | client, rank[high] << PORT_BITS | server
    key, _ = pack([(np.minimum(one, other), len(packed) << PORT_BITS), (np.maximum(one, other), len(packed) << PORT_BITS)])
    number, first = number_groups(key)
    swap = one[first] > other[first]
    sources, targets = np.where(swap, high[first], low[first]), np.where(swap, low[first], high[first])
    ports = np.stack([np.where(swap, server[first], client[first]), np.where(swap, client[first], server[first])], axis=1)
    wire = ports.astype(">u2").tobytes()
    names = np.empty(len(first), object)
    for part in row_batches(len(first)):
        texts = [
            _SEED_0 + packed[source] + packed[target] + _TCP_AND_PADDING + wire[4 * row : 4 * row + 4]
            for row, source, target in zip(range(part.start, part.stop), sources[part].tolist(), targets[part].tolist(), strict=True)
        ]
        names[part] = ["1:" + b64encode(sha1(text, usedforsecurity=False).digest()).decode("ascii") for text in texts]
    named: Array = names[number]
    return named


def row_batches(size: int) -> list[slice]:
    """Return consecutive slices of `size` rows, each of at most `MAX_BATCH_ROWS`, so that lists made from one of them stay small."""
    return [slice(first, min(first + MAX_BATCH_ROWS, size)) for first in range(0, size, MAX_BATCH_ROWS)]


def address_codes(flows: pd.DataFrame) -> tuple[Ints, Ints, list[str]]:
    """Return the clients' and the servers' addresses as codes, and the texts that the codes index."""
    client, server = flows["client_ip"].array, flows["server_ip"].array
    codes = np.concatenate([client.codes, server.codes]).astype(np.int64)
    number, first = number_groups(codes)
    texts = client.categories[codes[first]].to_list()
    return number[: len(flows)], number[len(flows) :], texts
